-- Counting keys by status, as monitors do all the time, without reading the keys.
CREATE INDEX keys_by_status ON keys (status);
