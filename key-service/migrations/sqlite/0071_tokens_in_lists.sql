-- `place` orders lists of tokens.
CREATE TABLE tokens_with_place (
    place      INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    digest     TEXT    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    tenant_id  TEXT,
    user_id    TEXT,
    expires_at INTEGER
) STRICT;
INSERT INTO tokens_with_place (name, digest, role, created_at, revoked_at, tenant_id, user_id, expires_at)
    SELECT name, digest, role, created_at, revoked_at, tenant_id, user_id, expires_at FROM tokens ORDER BY created_at, name;
DROP TABLE tokens;
ALTER TABLE tokens_with_place RENAME TO tokens;
