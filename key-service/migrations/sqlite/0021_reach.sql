-- Tokens that are good for one tenant or one user alone, and tokens that end.
ALTER TABLE tokens ADD COLUMN tenant_id TEXT;
ALTER TABLE tokens ADD COLUMN user_id TEXT;
ALTER TABLE tokens ADD COLUMN expires_at INTEGER;
-- Whose an entry is, for those who see no others.
CREATE INDEX audit_by_tenant ON audit (CASE kind WHEN 'tenant' THEN entity_id ELSE json_extract(after, '$.tenant_id') END, id);
CREATE INDEX audit_by_user ON audit (CASE kind WHEN 'user' THEN entity_id WHEN 'key' THEN json_extract(after, '$.user_id') END, id);
