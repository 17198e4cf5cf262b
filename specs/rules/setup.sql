CREATE TABLE visitors (id int PRIMARY KEY, name text, first_seen date, last_seen date, tags text[], profile jsonb,
                       note text);
INSERT INTO visitors VALUES (1, 'Ada', '2026-02-01', '2026-02-01', '{a}', '{"lang": "en", "beta": true}', 'vip'),
                            (2, NULL, NULL, '2026-03-01', NULL, NULL, NULL);
