CREATE TABLE visits (visitor text, day date, page text, PRIMARY KEY (day, visitor));
INSERT INTO visits VALUES ('ann', '2026-03-01', '/first');
