CREATE TABLE notes (id int PRIMARY KEY, note text NOT NULL, added date NOT NULL DEFAULT '2026-01-01');
INSERT INTO notes VALUES (1, 'first', '2025-12-31');
