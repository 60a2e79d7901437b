-- Users are numbered in the order in which they came, which is nearly that of their times: a search by age goes along the
-- numbers, and has to know how far the two are apart where a clock was set back, or two servers' clocks differ.
CREATE TABLE user_arrivals (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    latest   INTEGER NOT NULL,                   -- the latest created_at so far
    disorder INTEGER NOT NULL                    -- whoever came later was created earlier by so much at most
) STRICT;

INSERT INTO user_arrivals
SELECT 1, ifnull(max(latest), 0), ifnull(max(latest - created_at), 0)
FROM (SELECT created_at, max(created_at) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS latest FROM users);

CREATE TRIGGER user_arrivals_insert AFTER INSERT ON users BEGIN
    UPDATE user_arrivals
    SET disorder = max(disorder, latest - new.created_at), latest = max(latest, new.created_at);
END;

CREATE TRIGGER user_arrivals_update AFTER UPDATE OF created_at ON users BEGIN
    UPDATE user_arrivals
    SET disorder = disorder + abs(new.created_at - old.created_at), latest = max(latest, new.created_at);
END;
