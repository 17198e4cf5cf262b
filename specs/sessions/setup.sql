CREATE TABLE meetings (id int PRIMARY KEY, begins timestamptz);
INSERT INTO meetings VALUES (1, '2026-07-01 08:00+00');
