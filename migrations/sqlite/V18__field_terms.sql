-- The audit, the rate limits and the clean-up in the words of the field, from the API to the column.
ALTER TABLE audit_events RENAME COLUMN door TO channel;
UPDATE audit_events SET channel = iif(channel = 'console', 'cli', 'job') WHERE channel IN ('console', 'timer');
UPDATE audit_events SET action = CASE action
    WHEN 'user.disowned'      THEN 'user.rejected'
    WHEN 'email.change_asked' THEN 'email.change_requested'
    WHEN 'password.forgotten' THEN 'password.reset_requested'
    WHEN 'password.link_made' THEN 'password.reset_link_created'
    ELSE 'session.refresh_reuse_detected'
END
WHERE action IN ('user.disowned', 'email.change_asked', 'password.forgotten', 'password.link_made', 'session.replayed');

ALTER TABLE limits RENAME TO rate_limits;
ALTER TABLE rate_limits RENAME COLUMN spent TO used;
ALTER TABLE rate_limits RENAME COLUMN whole_at TO refilled_at;
DROP INDEX limits_whole_at;
CREATE INDEX rate_limits_refilled_at ON rate_limits (refilled_at);

ALTER TABLE clean_up RENAME COLUMN leapt TO jumped;
