-- Whom to tell of what becomes of keys. `events` is the list of their names, with a comma before and behind each.
-- The secrets by which messages are signed are in no table.
CREATE TABLE webhooks (
    place      INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    tenant_id  TEXT,
    url        TEXT    NOT NULL,
    events     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
-- Messages that were not taken yet: written with the change that they are about, gone as soon as they are taken.
-- `state` is pending, or dead where nobody tries any more.
CREATE TABLE webhook_messages (
    place      INTEGER PRIMARY KEY,
    event_id   TEXT    NOT NULL,
    webhook_id TEXT    NOT NULL,
    event      TEXT    NOT NULL,
    payload    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    last_error TEXT,
    UNIQUE (webhook_id, event_id)
) STRICT;
CREATE INDEX webhook_messages_due ON webhook_messages (next_at) WHERE state = 'pending';
-- The day on which somebody was last told that a key expires.
CREATE TABLE webhook_expiring (
    key_id TEXT    NOT NULL PRIMARY KEY,
    day    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
