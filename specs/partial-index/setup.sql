CREATE TABLE labels (code text NOT NULL, label text, deleted_at date);
CREATE UNIQUE INDEX labels_live ON labels (code) WHERE deleted_at IS NULL;
INSERT INTO labels VALUES ('A', 'old', NULL), ('A', 'older', '2025-01-01'), ('B', 'old', '2025-01-01');
