-- A page of the audit costs what it shows, whichever filters it has and however long a history is: the newest events of one
-- user, or by one, are merged out of one list for each action.
DROP INDEX audit_events_user_id;
DROP INDEX audit_events_actor_id;
CREATE INDEX audit_events_by_user ON audit_events (user_id, action);
CREATE INDEX audit_events_by_actor ON audit_events (actor_id, action) WHERE actor_id IS NOT NULL;

-- What one user did to another: admins alone do that, so there is little in it.
CREATE INDEX audit_events_among ON audit_events (user_id, actor_id, action) WHERE actor_id <> user_id;
