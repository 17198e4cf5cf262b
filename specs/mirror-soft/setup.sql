CREATE TABLE customers (email text PRIMARY KEY, name text, active boolean NOT NULL);
INSERT INTO customers VALUES ('ada@example.com', 'Ada', true), ('bob@example.com', 'Bob', true),
                             ('eve@example.com', 'Eve', false), ('old@example.com', 'Old', false);
