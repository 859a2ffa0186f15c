-- What requests with an Idempotency-Key have made: digests of the header and of the request, and an id.
CREATE TABLE retries (
    id        TEXT    NOT NULL PRIMARY KEY,
    request   TEXT    NOT NULL,
    entity_id TEXT    NOT NULL,
    made_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX retries_by_time ON retries (made_at);
