CREATE TABLE stock (sku text PRIMARY KEY, pieces int);
CREATE TABLE log (rows bigint);
INSERT INTO stock VALUES ('a', 1), ('b', 2), ('c', 3), ('d', 4);
