CREATE TABLE members (email text PRIMARY KEY, city text, joined date);
INSERT INTO members VALUES ('ann@example.com', 'Bergen', '2020-01-01'), ('bob@example.com', 'Rome', '2021-01-01');
