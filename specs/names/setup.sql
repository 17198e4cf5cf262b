CREATE TABLE "Web Shop" ("Customer Id" text PRIMARY KEY, "100 %" int, "order" int);
INSERT INTO "Web Shop" VALUES ('a@example.com', 4, 1);
