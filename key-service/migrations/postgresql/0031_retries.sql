-- What requests with an Idempotency-Key have made: digests of the header and of the request, and an id.
CREATE TABLE retries (
    id        TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    request   TEXT   COLLATE "C" NOT NULL,
    entity_id TEXT   COLLATE "C" NOT NULL,
    made_at   BIGINT NOT NULL
);
CREATE INDEX retries_by_time ON retries (made_at);
