CREATE TABLE switches (id int PRIMARY KEY, state text);
INSERT INTO switches VALUES (1, 'on'), (2, 'on');
