-- Since when a key signs nothing any more; it still checks what it signed, until none of that can be valid.
ALTER TABLE signing_keys ADD COLUMN retired_at INTEGER;
