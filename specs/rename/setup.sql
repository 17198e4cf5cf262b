CREATE TABLE staff (id int PRIMARY KEY, name text, hired date);
INSERT INTO staff VALUES (7, 'Zoe', '2020-04-01');
