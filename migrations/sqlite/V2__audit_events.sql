-- What was done to accounts, by whom and from where. An event outlives the accounts that it names, so it holds their
-- ids and nothing about them; it is deleted when its retention ends.
CREATE TABLE audit_events (
    seq        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL CHECK (length(id) = 16),
    at         INTEGER NOT NULL,
    action     TEXT NOT NULL,
    actor_id   BLOB,                             -- who was signed in; NULL if nobody was
    user_id    BLOB NOT NULL,                    -- whose account it was done to
    door       TEXT NOT NULL,                    -- how they came in: api, page, console, timer
    ip         TEXT,
    user_agent TEXT,
    uid        INTEGER,                          -- at the console: the user of the operating system
    request_id TEXT,
    changes    TEXT NOT NULL                     -- a JSON array of {field, from, to}
) STRICT;

CREATE INDEX audit_events_user_id ON audit_events (user_id);
CREATE INDEX audit_events_actor_id ON audit_events (actor_id);
CREATE INDEX audit_events_action ON audit_events (action);
CREATE INDEX audit_events_at ON audit_events (at);
