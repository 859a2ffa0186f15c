-- Who is signed in to the console: by the digest of what the browser holds, until when, and either the digest of the
-- token that was given or, where a provider of identities said who it is, what they may do.
CREATE TABLE sessions (
    digest       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    token_digest TEXT   COLLATE "C",
    name         TEXT   COLLATE "C" NOT NULL,
    role         TEXT   COLLATE "C" NOT NULL,
    tenant_id    TEXT   COLLATE "C",
    user_id      TEXT   COLLATE "C",
    expires_at   BIGINT NOT NULL
);
CREATE INDEX sessions_by_name ON sessions (name);
CREATE INDEX sessions_by_end ON sessions (expires_at);
