-- Lists, searches and counts that cost nearly the same among a thousand users and a million.

-- A walk along a list that looks for a text, or leaves out who has expired, finds both in the index.
DROP INDEX users_by_age;
DROP INDEX users_by_email;
DROP INDEX users_by_expiry;
CREATE INDEX users_by_age ON users (role, status, disabled, created_at, id, expires_at, search_text);
CREATE INDEX users_by_email ON users (role, status, disabled, email_key, expires_at, search_text);
CREATE INDEX users_by_expiry ON users (expires_at, role, disabled) WHERE status = 'unverified';

-- How many users each range of the lists has, expired ones included.
CREATE TABLE user_counts (
    role     TEXT NOT NULL,
    status   TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    users    INTEGER NOT NULL,
    PRIMARY KEY (role, status, disabled)
) STRICT, WITHOUT ROWID;

INSERT INTO user_counts
SELECT role, status, disabled, count(*) FROM users GROUP BY role, status, disabled;

CREATE TRIGGER user_counts_insert AFTER INSERT ON users BEGIN
    INSERT INTO user_counts VALUES (new.role, new.status, new.disabled, 1) ON CONFLICT DO UPDATE SET users = users + 1;
END;

CREATE TRIGGER user_counts_delete AFTER DELETE ON users BEGIN
    UPDATE user_counts SET users = users - 1
    WHERE role = old.role AND status = old.status AND disabled = old.disabled;
END;

CREATE TRIGGER user_counts_update AFTER UPDATE OF role, status, disabled ON users BEGIN
    UPDATE user_counts SET users = users - 1
    WHERE role = old.role AND status = old.status AND disabled = old.disabled;
    INSERT INTO user_counts VALUES (new.role, new.status, new.disabled, 1) ON CONFLICT DO UPDATE SET users = users + 1;
END;

-- With two line ends behind it, every one and every two characters of a text are the beginning of three: a short text is
-- searched for by all the trigrams that begin with it.
DROP TRIGGER users_search_insert;
DROP TRIGGER users_search_update;

INSERT INTO users_search (users_search) VALUES ('delete-all');
INSERT INTO users_search (rowid, search_text)
SELECT seq, search_text || char(10) || char(10) FROM users ORDER BY seq;

CREATE TRIGGER users_search_insert AFTER INSERT ON users BEGIN
    INSERT INTO users_search (rowid, search_text) VALUES (new.seq, new.search_text || char(10) || char(10));
END;

CREATE TRIGGER users_search_update AFTER UPDATE OF search_text ON users
WHEN old.search_text IS NOT new.search_text BEGIN
    UPDATE users_search SET search_text = new.search_text || char(10) || char(10) WHERE rowid = new.seq;
END;

-- Which trigrams there are.
CREATE VIRTUAL TABLE users_search_terms USING fts5vocab (users_search, row);
