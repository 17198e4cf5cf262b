CREATE TABLE prices (sku text, price numeric, seen_at timestamptz, valid_from timestamptz NOT NULL,
                     valid_to timestamptz, is_current boolean NOT NULL, UNIQUE (sku, valid_from));
INSERT INTO prices VALUES ('lamp', 9.90, '2026-01-01', '2026-01-01', NULL, true),
                          ('desk', 120, '2026-01-01', '2026-01-01', NULL, true),
                          ('sofa', 450, '2026-03-01', '2026-03-01', NULL, true);
