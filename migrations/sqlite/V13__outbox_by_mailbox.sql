-- Messages keep their order by the mailbox that they are delivered to. Two spellings that are compared as one address may
-- be two mailboxes, and one must not hold back the other. What an older version wrote has no mailbox, and waits for
-- nothing: the address is sealed in the message.
ALTER TABLE outbox ADD COLUMN mailbox TEXT;
-- 1: a security notice, which waits for no other message and is taken first.
ALTER TABLE outbox ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0 CHECK (urgent IN (0, 1));
-- 1: an attempt failed for a reason that concerns this message alone; no other message waits for it any more.
ALTER TABLE outbox ADD COLUMN deferred INTEGER NOT NULL DEFAULT 0 CHECK (deferred IN (0, 1));

-- Notices belong to no user.
UPDATE outbox SET urgent = 1 WHERE user_id IS NULL;

DROP INDEX outbox_turn;
CREATE INDEX outbox_turn ON outbox (attempts, urgent DESC, seq, due_at) WHERE state = 'waiting';
CREATE INDEX outbox_mailbox ON outbox (mailbox, seq) WHERE state = 'waiting' AND deferred = 0;
