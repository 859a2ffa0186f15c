-- Written now and then, read by nobody: whether the database takes writes shows only by writing.
CREATE TABLE probe (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    number   INTEGER NOT NULL,
    filler   BLOB    NOT NULL
) STRICT;
INSERT INTO probe (only_row, number, filler) VALUES (1, 0, x'');
