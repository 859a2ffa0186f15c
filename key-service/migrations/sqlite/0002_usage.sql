-- How often and when keys were used, as gateways report it. Not part of the records: a use is no
-- write that gateways would have to follow.
CREATE TABLE key_usage (
    key_id   TEXT    NOT NULL,
    day      INTEGER NOT NULL, -- days since 1970-01-01, UTC
    allowed  INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    PRIMARY KEY (key_id, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_last_use (
    key_id TEXT    NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Reports that were counted, so that one sent again is not counted again.
CREATE TABLE usage_reports (
    reporter    TEXT    NOT NULL,
    batch       INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (reporter, batch)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_reports_by_time ON usage_reports (received_at);
