//! The table `audit_events`.

use std::fmt::Write as _;

use rusqlite::{Row, types::Value};
use uuid::Uuid;

use super::{
    Error, Snapshot, Tx,
    tx::{corrupt, timestamp, uuid, word},
};
use crate::model::{AuditCursor, AuditEvent, AuditQuery, Client, Origin, Page, Timestamp, UserId, Word};

const COLUMNS: &str =
    "id, at, action, actor_id, user_id, door, ip, user_agent, uid, request_id, changes, seq";

impl Snapshot<'_> {
    /// One page of events, newest first.
    pub(crate) fn audit_events(&self, query: &AuditQuery) -> Result<Page<AuditEvent, AuditCursor>, Error> {
        let limit = query.limit.get();
        let mut params = vec![Value::Integer(query.cursor.map_or(i64::MAX, |cursor| cursor.0))];
        let mut filter = String::from("seq < ?1");
        let id = |id: UserId| Value::Blob(id.as_uuid().as_bytes().to_vec());
        let of_one = query.user_id.is_some() || query.actor_id.is_some();
        for (column, wanted) in [
            ("user_id", query.user_id.map(id)),
            ("actor_id", query.actor_id.map(id)),
            // The plus sign keeps SQLite from walking everything that was done so when it knows whom to look at.
            ("+action", query.action.filter(|_| of_one).map(|action| Value::Text(action.word().to_owned()))),
            ("action", query.action.filter(|_| !of_one).map(|action| Value::Text(action.word().to_owned()))),
        ] {
            if let Some(value) = wanted {
                params.push(value);
                let _ = write!(filter, " AND {column} = ?{}", params.len());
            }
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM audit_events WHERE {filter} ORDER BY seq DESC LIMIT {}",
            limit + 1
        );
        let mut rows = self.all(&sql, rusqlite::params_from_iter(params), |row| {
            Ok((row.get::<_, i64>(11)?, read_event(row)?))
        })?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|(seq, _)| AuditCursor(*seq));
        Ok(Page { items: rows.into_iter().map(|(_, event)| event).collect(), next, total: None })
    }

    /// The latest events that a user did, or that were done to them, newest first.
    pub(crate) fn audit_events_of(&self, id: UserId, most: u32) -> Result<Vec<AuditEvent>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM audit_events WHERE user_id = ?1 OR actor_id = ?1 ORDER BY seq DESC LIMIT ?2"
        );
        self.all(&sql, (id.as_uuid().as_bytes(), most), read_event)
    }

    /// How many events happened before.
    pub(crate) fn count_old_audit_events(&self, before: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM audit_events WHERE at < ?1", [before.millis()])
    }
}

impl Tx<'_> {
    /// Adds an event.
    pub(crate) fn insert_audit_event(&self, event: &AuditEvent) -> Result<(), Error> {
        let changes = serde_json::to_string(&event.changes).map_err(|e| Error::Defect(e.to_string()))?;
        let origin = &event.origin;
        self.execute_one(
            "INSERT INTO audit_events (id, at, action, actor_id, user_id, door, ip, user_agent, uid, request_id, changes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            (
                event.id.as_bytes(),
                event.at.millis(),
                event.action.word(),
                event.actor_id.map(|id| *id.as_uuid().as_bytes()),
                event.user_id.as_uuid().as_bytes(),
                origin.door.word(),
                origin.client.ip.map(|ip| ip.to_string()),
                origin.client.user_agent.as_deref(),
                origin.uid,
                origin.request_id.as_deref(),
                changes,
            ),
        )
    }

    /// Deletes events that happened before, at most `limit`; answers how many.
    pub(crate) fn delete_old_audit_events(&self, before: Timestamp, limit: u32) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM audit_events WHERE seq IN (SELECT seq FROM audit_events WHERE at < ?1 LIMIT ?2)",
            (before.millis(), limit),
        )
    }
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<AuditEvent> {
    let ip: Option<String> = row.get(6)?;
    Ok(AuditEvent {
        id: uuid(row, 0)?,
        at: timestamp(row, 1)?,
        action: word(row, 2)?,
        actor_id: row.get::<_, Option<[u8; 16]>>(3)?.map(|id| UserId::from_uuid(Uuid::from_bytes(id))),
        user_id: UserId::from_uuid(uuid(row, 4)?),
        origin: Origin {
            door: word(row, 5)?,
            client: Client { ip: ip.and_then(|ip| ip.parse().ok()), user_agent: row.get(7)? },
            uid: row.get(8)?,
            request_id: row.get::<_, Option<String>>(9)?.map(Into::into),
        },
        changes: serde_json::from_str(&row.get::<_, String>(10)?).map_err(|_| corrupt(10))?,
    })
}
