CREATE TABLE rates (currency char(3) PRIMARY KEY, rate numeric NOT NULL, note text DEFAULT 'from the bank');
INSERT INTO rates VALUES ('CHF', 0.9350, 'from the bank'), ('GBP', 0.8420, 'by hand'), ('SEK', 11.2, 'from the bank');
