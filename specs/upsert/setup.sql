CREATE TABLE products (sku text PRIMARY KEY, name text, price numeric(8,2), sold_from date);
INSERT INTO products VALUES ('A-1', 'Kettle', 39.90, '2024-05-01'), ('A-2', 'Cup', 4.00, '2024-05-01'), ('B-9', 'Spoon', 1, NULL);
