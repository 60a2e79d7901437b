//! The table `audit_events`.

use uuid::Uuid;

use super::{
    error::Error,
    sql::{BadColumn, Param, Row, RowResult, timestamp, uuid, variant},
    tx::{Snapshot, Tx},
};
use crate::domain::{
    Action, AuditCursor, AuditEvent, AuditQuery, Client, Origin, Page, Timestamp, UserId, VariantArray,
};

const COLUMNS: &str =
    "id, at, action, actor_id, user_id, channel, ip, user_agent, uid, request_id, changes, seq";

// Events recorded before ?1, the newest first, each list within one index.
const ALL: &str = "SELECT seq FROM audit_events WHERE seq < ?1 ORDER BY seq DESC";
const LIKE: &str = "SELECT seq FROM audit_events WHERE action = ?2 AND seq < ?1 ORDER BY seq DESC";
const OF_USER: &str =
    "SELECT seq FROM audit_events WHERE user_id = ?3 AND action = ?2 AND seq < ?1 ORDER BY seq DESC";
// Nearly all events that concern a user were caused by that user. Compared to TRUE, so that SQLite does not conclude that
// `actor_id` is ?3 and read all that an admin did to others.
const OF_SELF: &str = "SELECT seq FROM audit_events WHERE user_id = ?3 AND (actor_id = user_id) = TRUE \
     AND action = ?2 AND seq < ?1 ORDER BY seq DESC";
const BY_ACTOR: &str =
    "SELECT seq FROM audit_events WHERE actor_id = ?3 AND action = ?2 AND seq < ?1 ORDER BY seq DESC";
const AMONG: &str = "SELECT seq FROM audit_events WHERE user_id = ?3 AND actor_id = ?4 AND actor_id <> user_id \
     AND action = ?2 AND seq < ?1 ORDER BY seq DESC";

/// A query for a list of events, and its parameters.
type List = (&'static str, Vec<Param>);

impl Snapshot<'_> {
    /// A page of events, newest first.
    pub(crate) fn audit_events(&self, query: &AuditQuery) -> Result<Page<AuditEvent, AuditCursor>, Error> {
        let belongs = |event: &AuditEvent| {
            query.user_id.is_none_or(|id| event.user_id == id)
                && query.actor_id.is_none_or(|id| event.actor_id == Some(id))
                && query.action.is_none_or(|action| event.action == action)
        };
        let limit = query.limit.get();
        let found = self.newest_events(&lists(query), belongs, limit + 1)?;
        Ok(Page::first(found, limit, |(seq, _)| AuditCursor::after(*seq)).map(|(_, event)| event))
    }

    /// The latest events that a user caused or that concern them, newest first.
    pub(crate) fn audit_events_of(&self, id: UserId, most: usize) -> Result<Vec<AuditEvent>, Error> {
        let of_user = AuditQuery { user_id: Some(id), ..AuditQuery::default() };
        let by_actor = AuditQuery { actor_id: Some(id), ..AuditQuery::default() };
        let lists = [lists(&of_user), lists(&by_actor)].concat();
        let belongs = |event: &AuditEvent| event.user_id == id || event.actor_id == Some(id);
        let found = self.newest_events(&lists, belongs, most)?;
        Ok(found.into_iter().map(|(_, event)| event).collect())
    }

    /// The first events of the merged lists. A damaged index may name another row, so each row is compared, too.
    fn newest_events(
        &self,
        lists: &[List],
        belongs: impl Fn(&AuditEvent) -> bool,
        most: usize,
    ) -> Result<Vec<(i64, AuditEvent)>, Error> {
        let select = format!("SELECT {COLUMNS} FROM audit_events");
        self.newest(&select, lists, most, |row| {
            let event = read_event(row)?;
            Ok(if belongs(&event) { Some((row.get(11)?, event)) } else { None })
        })
    }

    pub(crate) fn count_old_audit_events(&self, before: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM audit_events WHERE at < ?1", [before.millis()])
    }

    /// Counts events up to `most`.
    pub(crate) fn count_kept_audit_events(&self, since: Timestamp, most: u64) -> Result<u64, Error> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE at >= ?1 LIMIT ?2) kept";
        self.number(sql, (since.millis(), i64::try_from(most).unwrap_or(i64::MAX)))
    }
}

impl Tx<'_> {
    pub(crate) fn insert_audit_event(&self, event: &AuditEvent) -> Result<(), Error> {
        let changes = serde_json::to_string(&event.changes).map_err(|e| Error::Defect(e.to_string()))?;
        let origin = &event.origin;
        self.execute_one(
            "INSERT INTO audit_events (id, at, action, actor_id, user_id, channel, ip, user_agent, uid, request_id, changes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            (
                event.id.as_bytes(),
                event.at.millis(),
                event.action.into_str(),
                event.actor_id.map(|id| *id.as_uuid().as_bytes()),
                event.user_id.as_uuid().as_bytes(),
                origin.channel.into_str(),
                origin.client.ip.map(|ip| ip.to_string()),
                origin.client.user_agent.as_deref(),
                origin.uid,
                origin.request_id.as_deref(),
                changes,
            ),
        )
    }

    /// Deletes at most `limit` events; returns how many.
    pub(crate) fn delete_old_audit_events(&self, before: Timestamp, limit: u32) -> Result<usize, Error> {
        self.delete_some("audit_events", "seq", "at < ?1", limit, before)
    }
}

fn read_event(row: &Row<'_>) -> RowResult<AuditEvent> {
    let ip: Option<String> = row.get(6)?;
    Ok(AuditEvent {
        id: uuid(row, 0)?,
        at: timestamp(row, 1)?,
        action: variant(row, 2)?,
        actor_id: row.get::<Option<[u8; 16]>>(3)?.map(|id| UserId::from_uuid(Uuid::from_bytes(id))),
        user_id: UserId::from_uuid(uuid(row, 4)?),
        origin: Origin {
            channel: variant(row, 5)?,
            client: Client { ip: ip.and_then(|ip| ip.parse().ok()), user_agent: row.get(7)? },
            uid: row.get(8)?,
            request_id: row.get::<Option<String>>(9)?.map(Into::into),
        },
        changes: serde_json::from_str(&row.get::<String>(10)?).map_err(|_| BadColumn(10))?,
    })
}

/// The lists that contain the events of a query. Those of one user are in one list per action, so that the indexes for one
/// action of a user serve for all of them, too.
fn lists(query: &AuditQuery) -> Vec<List> {
    let before = Param::Int(query.cursor.map_or(i64::MAX, AuditCursor::recorded));
    let id = |id: UserId| Param::from(*id.as_uuid().as_bytes());
    let (sql, whom) = match (query.user_id, query.actor_id, query.action) {
        (None, None, None) => return vec![(ALL, vec![before])],
        (None, None, Some(_)) => (LIKE, Vec::new()),
        (None, Some(actor), _) => (BY_ACTOR, vec![id(actor)]),
        (Some(user), Some(actor), _) if actor != user => (AMONG, vec![id(user), id(actor)]),
        (Some(user), Some(_), _) => (OF_SELF, vec![id(user)]),
        (Some(user), None, _) => (OF_USER, vec![id(user)]),
    };
    let actions = query.action.as_ref().map_or(Action::VARIANTS, std::slice::from_ref);
    let values = |action: &Action| [before.clone(), Param::from(action.into_str().to_owned())];
    actions.iter().map(|action| (sql, [&values(action)[..], &whom].concat())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::testing::query_plan;

    #[test]
    fn every_list_of_events_is_read_from_one_index() {
        let schema = [
            include_str!("../../migrations/sqlite/V2__audit_events.sql"),
            include_str!("../../migrations/sqlite/V12__audit_pages.sql"),
            "ALTER TABLE audit_events RENAME COLUMN door TO channel",
        ];
        for (sql, index) in [
            (ALL, "INTEGER PRIMARY KEY (rowid<?)"),
            (LIKE, "COVERING INDEX audit_events_action (action=? AND rowid<?)"),
            (OF_USER, "COVERING INDEX audit_events_by_user (user_id=? AND action=? AND rowid<?)"),
            (OF_SELF, "INDEX audit_events_by_user (user_id=? AND action=? AND rowid<?)"),
            (BY_ACTOR, "COVERING INDEX audit_events_by_actor (actor_id=? AND action=? AND rowid<?)"),
            (AMONG, "COVERING INDEX audit_events_among (user_id=? AND actor_id=? AND action=? AND rowid<?)"),
        ] {
            assert_eq!(query_plan(&schema, sql), [format!("SEARCH audit_events USING {index}")], "{sql}");
        }
    }
}
