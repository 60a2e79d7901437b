-- A search takes no account of accents either, and looks for each word by itself. search_text is a function of the program,
-- which is there while it migrates: the form in which a user is searched.
CREATE TEMP TABLE changed AS
SELECT seq, text FROM
(SELECT seq, search_text AS old, search_text(email, email_key, first_name, last_name) AS text FROM users)
WHERE text <> old;

-- Nothing here can conflict. Saying what to do if it did saves SQLite from keeping what it would take to go back.
DROP TRIGGER users_search_update;
UPDATE OR ROLLBACK users SET search_text = changed.text FROM changed WHERE users.seq = changed.seq;

-- A few are changed in the search one by one; for many it is made anew, which takes 5 seconds for a million users.
UPDATE OR ROLLBACK users_search SET search_text = changed.text || char(10) || char(10) FROM changed
WHERE users_search.rowid = changed.seq AND (SELECT count(*) FROM changed) <= 100000;

INSERT INTO users_search (users_search) SELECT 'delete-all' WHERE (SELECT count(*) FROM changed) > 100000;
INSERT INTO users_search (rowid, search_text)
SELECT seq, search_text || char(10) || char(10) FROM users
WHERE (SELECT count(*) FROM changed) > 100000 ORDER BY seq;

CREATE TRIGGER users_search_update AFTER UPDATE OF search_text ON users
WHEN old.search_text IS NOT new.search_text BEGIN
    UPDATE users_search SET search_text = new.search_text || char(10) || char(10) WHERE rowid = new.seq;
END;

DROP TABLE changed;
