-- Who users are, in this service's words and in those of the directory that they come from; what keys are for.
ALTER TABLE users ADD COLUMN kind         TEXT COLLATE "C" NOT NULL DEFAULT 'person';
ALTER TABLE users ADD COLUMN login        TEXT COLLATE "C";
ALTER TABLE users ADD COLUMN login_key    TEXT COLLATE "C";
ALTER TABLE users ADD COLUMN external_id  TEXT COLLATE "C";
ALTER TABLE users ADD COLUMN display_name TEXT COLLATE "C";
ALTER TABLE users ADD COLUMN contact      TEXT COLLATE "C";
ALTER TABLE users ADD COLUMN status_held  TEXT COLLATE "C";
-- A deleted user's login is free again.
CREATE UNIQUE INDEX users_by_login ON users (coalesce(tenant_id, ''), login_key)
    WHERE login_key IS NOT NULL AND status <> 'deleted';
CREATE INDEX users_by_external_id ON users (tenant_id, external_id) WHERE external_id IS NOT NULL;
ALTER TABLE keys ADD COLUMN purpose      TEXT COLLATE "C";
ALTER TABLE keys ADD COLUMN contact      TEXT COLLATE "C";
ALTER TABLE keys ADD COLUMN rotate_every BIGINT;
