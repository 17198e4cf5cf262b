CREATE TABLE accounts (email text NOT NULL, plan text);
CREATE UNIQUE INDEX accounts_email ON accounts (lower(email));
INSERT INTO accounts VALUES ('Ann@Example.com', 'free');
