-- How many requests passed and were refused, by hour: over all keys (where `tenant_id` is empty), and over those of each
-- tenant. `code` is why they were refused, and empty for those that passed.
CREATE TABLE use_by_hour (
    tenant_id TEXT NOT NULL,
    hour      INTEGER NOT NULL, -- hours since 1970-01-01, UTC
    code      TEXT NOT NULL,
    requests  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, hour, code)
) STRICT, WITHOUT ROWID;
CREATE INDEX use_by_hour_by_hour ON use_by_hour (hour);
