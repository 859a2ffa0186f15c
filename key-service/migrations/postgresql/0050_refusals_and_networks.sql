-- Why gateways refused requests with a key, by day, and when the last one was refused.
CREATE TABLE key_refusals (
    key_id   TEXT   COLLATE "C" NOT NULL,
    day      BIGINT NOT NULL, -- days since 1970-01-01, UTC
    code     TEXT   COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (key_id, day, code)
);
CREATE INDEX key_refusals_by_day ON key_refusals (day);

CREATE TABLE key_last_refusal (
    key_id TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL
);

-- From which networks requests with a key came, by day: addresses cut to /24 or /48, and other.
CREATE TABLE key_networks (
    key_id   TEXT   COLLATE "C" NOT NULL,
    day      BIGINT NOT NULL,
    network  TEXT   COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (key_id, day, network)
);
CREATE INDEX key_networks_by_day ON key_networks (day);
