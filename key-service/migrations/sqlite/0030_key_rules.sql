-- What the keys of a tenant must have: the JSON that was sent. No tenant without a row has any rule.
CREATE TABLE key_rules (
    tenant_id TEXT NOT NULL PRIMARY KEY,
    rules     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
