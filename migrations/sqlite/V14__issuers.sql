-- The names that tokens of this installation were signed under. The name follows server.public_url; when a shop moves, what
-- was signed before stays good for as long as it lives.
CREATE TABLE issuers (
    issuer       TEXT PRIMARY KEY,
    last_used_at INTEGER NOT NULL                -- when a token was last signed, to the hour
) STRICT, WITHOUT ROWID;
