CREATE TABLE readings (sensor text PRIMARY KEY, celsius numeric, highest numeric);
INSERT INTO readings VALUES ('OSLO-1', 3.0, 12.5), ('ROME-1', 20.0, 20.0);
