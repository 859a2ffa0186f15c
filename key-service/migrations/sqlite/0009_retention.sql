-- What is older than it is kept for is found without reading the rest.
CREATE INDEX key_usage_by_day ON key_usage (day);
