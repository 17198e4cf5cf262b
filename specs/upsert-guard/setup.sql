CREATE TABLE prices (sku text PRIMARY KEY, shop text, price int, seen_at timestamptz);
INSERT INTO prices VALUES ('A', 'south', 10, '2026-03-01Z'), ('B', 'south', 20, '2026-03-01Z'), ('C', 'south', 30, '2026-03-01Z');
