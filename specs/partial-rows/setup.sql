CREATE TABLE users (id int PRIMARY KEY, name text, email text, lang text DEFAULT 'en');
INSERT INTO users VALUES (1, 'Ada', 'ada@example.com', 'de'), (2, 'Bob', 'bob@example.com', 'fr');
