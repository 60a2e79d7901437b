-- User accounts: who they are, their sessions, codes, waiting messages, and the keys that sign tokens.
--
-- Times are milliseconds since 1970 in UTC; ids are UUIDs in 16 bytes. Nothing here asks the clock.
-- This file is never edited once a version with it was released: a change is a new file.

-- "Coff": tells our file from any other SQLite database.
PRAGMA application_id = 0x436f6666;

CREATE TABLE users (
    seq           INTEGER PRIMARY KEY,           -- the order of arrival
    id            BLOB NOT NULL CONSTRAINT users_id UNIQUE CHECK (length(id) = 16),
    email         TEXT NOT NULL,                 -- as typed
    email_key     TEXT NOT NULL CONSTRAINT users_email_key UNIQUE, -- the compared form: this makes addresses unique
    first_name    TEXT,
    last_name     TEXT,
    search_text   TEXT NOT NULL,                 -- address and names in the form that a search compares
    password_hash TEXT,                          -- a PHC string; NULL while nobody has chosen a password
    role          TEXT NOT NULL CHECK (role IN ('user', 'admin')),
    status        TEXT NOT NULL CHECK (status IN ('unverified', 'verified')),
    disabled      INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    verified_at   INTEGER,
    expires_at    INTEGER,
    last_login_at INTEGER,
    -- Only an unverified account expires, and every unverified account does.
    CONSTRAINT users_expire CHECK ((status = 'unverified') = (expires_at IS NOT NULL)),
    CONSTRAINT users_verified CHECK ((status = 'verified') = (verified_at IS NOT NULL))
) STRICT;

-- A list of users is the merge of at most eight ranges, one for each role, status and disabled that was not
-- ruled out: any filter in any order reads only the rows it shows.
CREATE INDEX users_by_age ON users (role, status, disabled, created_at, id);
CREATE INDEX users_by_email ON users (role, status, disabled, email_key);

-- Who has expired, in the order in which they did, which is nearly that of arrival: deleting neighbours is cheap.
CREATE INDEX users_by_expiry ON users (expires_at) WHERE status = 'unverified';

-- Which accounts contain three given characters in a row. It holds no text of its own and no positions: it names
-- candidates, and the row itself decides.
CREATE VIRTUAL TABLE users_search USING fts5 (
    search_text, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1'
);

CREATE TRIGGER users_search_insert AFTER INSERT ON users BEGIN
    INSERT INTO users_search (rowid, search_text) VALUES (new.seq, new.search_text);
END;

CREATE TRIGGER users_search_update AFTER UPDATE OF search_text ON users
WHEN old.search_text IS NOT new.search_text BEGIN
    UPDATE users_search SET search_text = new.search_text WHERE rowid = new.seq;
END;

CREATE TRIGGER users_search_delete AFTER DELETE ON users BEGIN
    DELETE FROM users_search WHERE rowid = old.seq;
END;

CREATE TABLE sessions (
    seq           INTEGER PRIMARY KEY,
    id            BLOB NOT NULL CONSTRAINT sessions_id UNIQUE CHECK (length(id) = 16),
    user_id       BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    refresh_hash  BLOB NOT NULL,                 -- SHA-256 of the refresh token that is good now
    previous_hash BLOB,                          -- of the one before it, for a client whose reply was lost
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER NOT NULL,              -- login or latest refresh
    expires_at    INTEGER NOT NULL,
    user_agent    TEXT,
    ip            TEXT
) STRICT;

CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- The code and link last sent to a user for one purpose; sending another replaces them.
CREATE TABLE codes (
    user_id          BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose          TEXT NOT NULL,
    email            TEXT NOT NULL,              -- where they went
    email_key        TEXT NOT NULL,              -- the address that they prove, and no other
    code_hash        BLOB,                       -- keyed with the installation secret; NULL once the code is dead
    code_expires_at  INTEGER NOT NULL,
    tries_left       INTEGER NOT NULL,
    token_hash       BLOB NOT NULL CONSTRAINT codes_token_hash UNIQUE, -- SHA-256 of the link's 256 random bits
    token_expires_at INTEGER NOT NULL,
    issued           INTEGER NOT NULL,           -- how many were sent for this purpose
    PRIMARY KEY (user_id, purpose)
) STRICT, WITHOUT ROWID;

CREATE INDEX codes_token_expires_at ON codes (token_expires_at);

-- Messages that wait to be sent, written in the commit that caused them.
CREATE TABLE outbox (
    seq        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL CONSTRAINT outbox_id UNIQUE CHECK (length(id) = 16),
    user_id    BLOB REFERENCES users (id) ON DELETE CASCADE,
    sealed     BLOB NOT NULL,                    -- the message, encrypted under the installation secret
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,                 -- not to be sent before; moved on by whoever takes it to send it
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL                  -- worth nothing to its reader from then on
) STRICT;

CREATE INDEX outbox_user_id ON outbox (user_id);
CREATE INDEX outbox_due_at ON outbox (due_at);
CREATE INDEX outbox_expires_at ON outbox (expires_at);

-- The Ed25519 keys that sign tokens; the private half is encrypted under the installation secret.
CREATE TABLE signing_keys (
    kid         TEXT PRIMARY KEY,                -- RFC 7638 thumbprint
    public_key  BLOB NOT NULL CHECK (length(public_key) = 32),
    private_key BLOB NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;
