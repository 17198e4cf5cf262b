CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE);
CREATE TABLE vouchers (id int PRIMARY KEY, code text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers,
                     voucher_id int REFERENCES vouchers, total numeric);
INSERT INTO customers VALUES (1, 'ada@example.com'), (2, 'bob@example.com');
INSERT INTO vouchers VALUES (7, 'SPRING');
INSERT INTO orders VALUES (10, 2, NULL, 5.00);
