-- A page of a sorted list is found without reading what comes before it, also that of a tenant. What has nothing to be
-- sorted by comes last, in the order of `place`.
CREATE INDEX tenants_by_name ON tenants (lower(name));
CREATE INDEX users_by_name ON users (lower(name));
CREATE INDEX users_by_tenant_and_name ON users (tenant_id, lower(name));
CREATE INDEX users_by_login_key ON users (login_key);
CREATE INDEX users_by_tenant_and_login ON users (tenant_id, login_key);
CREATE INDEX keys_by_name ON keys (lower(name));
CREATE INDEX keys_by_tenant_and_name ON keys (tenant_id, lower(name));
DROP INDEX keys_by_expiry;
CREATE INDEX keys_by_expiry ON keys (expires_at);
CREATE INDEX keys_by_tenant_and_expiry ON keys (tenant_id, expires_at);
CREATE INDEX key_last_use_by_time ON key_last_use (at);
