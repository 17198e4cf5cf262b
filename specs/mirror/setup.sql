CREATE TABLE shops (code text PRIMARY KEY, city text);
INSERT INTO shops VALUES ('B1', 'Berlin'), ('H1', 'Hamburg'), ('K1', 'Köln');
