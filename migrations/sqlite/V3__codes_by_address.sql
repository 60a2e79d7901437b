-- How many codes and links were sent to an address. The count outlives the account: deleting it and signing up again
-- must not buy new guesses.
CREATE TABLE sent_codes (
    key           BLOB PRIMARY KEY CHECK (length(key) = 32), -- keyed hash of the address and what was sent
    sent          INTEGER NOT NULL,
    sent_at       INTEGER NOT NULL,              -- the latest
    counted_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sent_codes_counted_until ON sent_codes (counted_until);

ALTER TABLE codes DROP COLUMN issued;

-- Who typed a code names the address that it was sent to, which may be one that nobody has yet.
CREATE INDEX codes_email_key ON codes (email_key);
