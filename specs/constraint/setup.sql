CREATE TABLE timesheet (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, year int NOT NULL, week int NOT NULL, hours numeric(4,1),
    CONSTRAINT one_row_a_week UNIQUE (year, week));
INSERT INTO timesheet (year, week, hours) VALUES (2025, 53, 10);
