CREATE TABLE rates (region text, rate int, UNIQUE NULLS NOT DISTINCT (region));
INSERT INTO rates VALUES (NULL, 5);
