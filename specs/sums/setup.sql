CREATE TABLE pages (path text PRIMARY KEY, views bigint NOT NULL);
INSERT INTO pages VALUES ('/', 100), ('/about', 7);
