-- When a key was first reported to be public.
ALTER TABLE keys ADD COLUMN leaked_at INTEGER;
