CREATE TABLE documents (id int PRIMARY KEY, version int, title text);
INSERT INTO documents VALUES (1, 1, 'First');
