-- Whether the store was moved to another database, or is the target of a move that has not ended. It is not used in either
-- case, by an older version neither, which refuses a newer schema.
CREATE TABLE store_info (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    moved_to   TEXT,                             -- the database that it was moved to, without user and password
    moved_from TEXT,                             -- the database that is being moved here; NULL again at the end
    moved_at   INTEGER,
    move_id    BLOB CHECK (length(move_id) = 16) -- of the latest move; the same in both databases
) STRICT;

INSERT INTO store_info (one) VALUES (1);
