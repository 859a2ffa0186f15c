-- Why gateways refused requests with a key, by day, and when the last one was refused.
CREATE TABLE key_refusals (
    key_id   TEXT    NOT NULL,
    day      INTEGER NOT NULL, -- days since 1970-01-01, UTC
    code     TEXT    NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (key_id, day, code)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_refusals_by_day ON key_refusals (day);

CREATE TABLE key_last_refusal (
    key_id TEXT    NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- From which networks requests with a key came, by day: addresses cut to /24 or /48, and other.
CREATE TABLE key_networks (
    key_id   TEXT    NOT NULL,
    day      INTEGER NOT NULL,
    network  TEXT    NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (key_id, day, network)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_networks_by_day ON key_networks (day);
