-- Requests for APIs. `place` orders lists. Of one user and API there is one at a time that nobody has decided.
CREATE TABLE approvals (
    place           INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    user_id         TEXT    NOT NULL,
    tenant_id       TEXT,
    api             TEXT    NOT NULL,
    reason          TEXT,
    status          TEXT    NOT NULL,
    requested_by    TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    decided_by      TEXT,
    decided_at      INTEGER,
    decision_reason TEXT
) STRICT;
CREATE UNIQUE INDEX approvals_pending ON approvals (user_id, api) WHERE status = 'pending';
CREATE INDEX approvals_by_user ON approvals (user_id, place);
CREATE INDEX approvals_by_tenant ON approvals (tenant_id, place);
-- Whose an entry is, for those who see no others: a request is its user's.
DROP INDEX audit_by_user;
CREATE INDEX audit_by_user ON audit (CASE kind WHEN 'user' THEN entity_id WHEN 'key' THEN json_extract(after, '$.user_id') WHEN 'approval' THEN json_extract(after, '$.user_id') END, id);
