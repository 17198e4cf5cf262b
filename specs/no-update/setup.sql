CREATE TABLE notes (id int PRIMARY KEY, note text);
INSERT INTO notes VALUES (1, 'old');
