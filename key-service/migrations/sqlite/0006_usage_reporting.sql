-- Since when gateways report use: before, nobody knows whether a key is used.
CREATE TABLE usage_reporting (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    since    INTEGER NOT NULL
) STRICT;
INSERT INTO usage_reporting (only_row, since)
    SELECT 1, at FROM (
        SELECT min(received_at) AS at FROM usage_reports
        UNION ALL
        SELECT min(day) * 86400 FROM key_usage
    ) WHERE at IS NOT NULL ORDER BY at LIMIT 1;
