CREATE TABLE entries (badge int UNIQUE, door text);
INSERT INTO entries VALUES (NULL, 'west'), (12, 'west');
