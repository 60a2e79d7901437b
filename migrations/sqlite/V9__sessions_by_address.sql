-- Whether somebody is logged in from an address is asked at each login: the index answers, however many sessions there are.
DROP INDEX sessions_user_id;
CREATE INDEX sessions_by_user ON sessions (user_id, ip, expires_at);
