-- Tokens that are good for one tenant or one user alone, and tokens that end.
ALTER TABLE tokens ADD COLUMN tenant_id  TEXT COLLATE "C";
ALTER TABLE tokens ADD COLUMN user_id    TEXT COLLATE "C";
ALTER TABLE tokens ADD COLUMN expires_at BIGINT;
-- Whose an entry is, for those who see no others.
CREATE INDEX audit_by_tenant ON audit
    (((CASE kind WHEN 'tenant' THEN entity_id ELSE after::json ->> 'tenant_id' END) COLLATE "C"), id);
CREATE INDEX audit_by_user ON audit
    (((CASE kind WHEN 'user' THEN entity_id WHEN 'key' THEN after::json ->> 'user_id' END) COLLATE "C"), id);
