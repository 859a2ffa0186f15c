-- Each entry carries the hash of the one before and its own, so that one that was changed or taken out is
-- found. SQLite has no such hash: those of the entries that are there are made by the program, once.
ALTER TABLE audit ADD COLUMN previous_hash TEXT;
ALTER TABLE audit ADD COLUMN hash TEXT;
CREATE TABLE audit_chain (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1)
) STRICT;
