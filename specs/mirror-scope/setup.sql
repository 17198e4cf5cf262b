CREATE TABLE shops (code text PRIMARY KEY, country text NOT NULL, city text);
INSERT INTO shops VALUES ('B1', 'DE', 'Berlin'), ('H1', 'DE', 'Hamburg'), ('W1', 'AT', 'Wien');
