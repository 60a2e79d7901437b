-- Messages to one address leave in the order in which they were written, and one that was given up stays to be seen.
CREATE TABLE outbox_by_recipient (
    seq        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL CONSTRAINT outbox_id UNIQUE CHECK (length(id) = 16),
    user_id    BLOB REFERENCES users (id) ON DELETE CASCADE, -- NULL for a notice, which outlives the account
    recipient  TEXT NOT NULL,                    -- the address in its compared form
    sealed     BLOB NOT NULL,                    -- the message, encrypted under the installation secret
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'dead')),
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,                 -- not to be sent before; moved on by whoever takes it to send it
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,                 -- worth nothing to its reader from then on
    last_error TEXT                              -- why the latest attempt failed
) STRICT;

INSERT INTO outbox_by_recipient (seq, id, user_id, recipient, sealed, state, attempts, due_at, created_at, expires_at)
SELECT o.seq, o.id, o.user_id, u.email_key, o.sealed, 'waiting', o.attempts, o.due_at, o.created_at, o.expires_at
FROM outbox o JOIN users u ON u.id = o.user_id;

DROP TABLE outbox;
ALTER TABLE outbox_by_recipient RENAME TO outbox;

CREATE INDEX outbox_user_id ON outbox (user_id);
CREATE INDEX outbox_recipient ON outbox (recipient, seq);
CREATE INDEX outbox_due_at ON outbox (due_at) WHERE state = 'waiting';
CREATE INDEX outbox_turn ON outbox (attempts, seq) WHERE state = 'waiting';
CREATE INDEX outbox_expires_at ON outbox (expires_at);
