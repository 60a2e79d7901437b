-- When the clean-up last ran, and for how long the next one has been held. A server that starts under a wrong clock has
-- nothing else to tell it by.
CREATE TABLE clean_up (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    last_run INTEGER,                            -- by the clock of then; NULL before the first
    leapt    INTEGER NOT NULL CHECK (leapt IN (0, 1)), -- whether the clock has leapt since, while a server ran
    held     INTEGER NOT NULL                    -- for how many milliseconds servers have run since it was held first
) STRICT;

-- The latest event tells what time it was when the store was last in use.
INSERT INTO clean_up SELECT 1, (SELECT at FROM audit_events ORDER BY seq DESC LIMIT 1), 0, 0;
