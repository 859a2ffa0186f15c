-- Who is signed in to the console: by the digest of what the browser holds, until when, and either the digest of the
-- token that was given or, where a provider of identities said who it is, what they may do.
CREATE TABLE sessions (
    digest       TEXT    NOT NULL PRIMARY KEY,
    token_digest TEXT,
    name         TEXT    NOT NULL,
    role         TEXT    NOT NULL,
    tenant_id    TEXT,
    user_id      TEXT,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_name ON sessions (name);
CREATE INDEX sessions_by_end ON sessions (expires_at);
