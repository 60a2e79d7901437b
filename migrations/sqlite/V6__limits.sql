-- Budgets for guessing passwords and codes and for causing messages. They are here to survive a restart.
CREATE TABLE limits (
    key      BLOB PRIMARY KEY CHECK (length(key) = 32), -- keyed hash of what is limited, and for whom
    spent    INTEGER NOT NULL,                   -- how much of the budget is gone
    since    INTEGER NOT NULL,                   -- since when time has been giving it back
    whole_at INTEGER NOT NULL                    -- when nothing of it is gone any more
) STRICT, WITHOUT ROWID;

CREATE INDEX limits_whole_at ON limits (whole_at);
