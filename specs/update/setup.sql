CREATE TABLE stock (shop text, sku text, count int, shelf text NOT NULL);
INSERT INTO stock VALUES ('north', 'A', 1, 'left'), ('south', 'A', 7, 'right');
