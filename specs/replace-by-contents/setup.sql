CREATE TABLE readings (sensor text, value numeric);
INSERT INTO readings VALUES ('a', 1.0), ('a', 1.0), ('a', 1.0), ('b', 2.5), ('c', NULL);
