-- One number for every write to tenants, users and keys. It is taken in the same transaction as
-- the write, and SQLite has one writer at a time, so no write becomes visible after a later one.
CREATE TABLE sequence (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    value    INTEGER NOT NULL
) STRICT;
INSERT INTO sequence (only_row, value) VALUES (1, 0);

-- `version` is the number of the last write; its index is the change feed. `place` orders lists.
-- No foreign keys: a key may name a user or tenant that does not exist, and the gateway says so.
CREATE TABLE tenants (
    place      INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    version    INTEGER NOT NULL UNIQUE,
    name       TEXT,
    status     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    place      INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    version    INTEGER NOT NULL UNIQUE,
    tenant_id  TEXT,
    name       TEXT,
    status     TEXT    NOT NULL,
    scopes     TEXT,             -- JSON list
    apis       TEXT,             -- JSON list
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX users_by_tenant ON users (tenant_id);

-- `digest` is the protocol's base64url text, so that a whole batch is looked up in one statement.
CREATE TABLE keys (
    place          INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE,
    version        INTEGER NOT NULL UNIQUE,
    digest         TEXT    NOT NULL UNIQUE,
    user_id        TEXT,
    tenant_id      TEXT,
    environment    TEXT,
    name           TEXT,
    hint           TEXT,
    status         TEXT    NOT NULL,
    not_before     INTEGER,
    expires_at     INTEGER,
    replaced_by    TEXT,
    replaced_at    INTEGER,
    revoked_at     INTEGER,
    revoked_reason TEXT,
    scopes         TEXT    NOT NULL, -- JSON list
    networks       TEXT,             -- JSON list
    hours          TEXT,             -- JSON object
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX keys_by_user ON keys (user_id);
CREATE INDEX keys_by_tenant ON keys (tenant_id);
CREATE INDEX keys_by_expiry ON keys (expires_at) WHERE expires_at IS NOT NULL;

-- Bearer tokens: only the SHA-256 digest.
CREATE TABLE tokens (
    name       TEXT    NOT NULL PRIMARY KEY,
    digest     TEXT    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE TABLE audit (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    entity_id TEXT    NOT NULL,
    seq       INTEGER,
    before    TEXT,
    after     TEXT
) STRICT;
CREATE INDEX audit_by_entity ON audit (kind, entity_id);
