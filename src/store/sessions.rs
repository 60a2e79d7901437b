//! The table `sessions`.

use std::net::IpAddr;

use super::{
    error::Error,
    sql::{Row, RowResult, timestamp, uuid},
    tx::{Snapshot, Tx},
    users::{COLUMN_COUNT, COLUMNS, read_user},
};
use crate::domain::{Client, Session, SessionId, Timestamp, TokenHash, User, UserId, network};

const SESSION_COLUMNS: &str = "s.id, s.user_id, s.created_at, s.last_used_at, s.expires_at, s.user_agent, s.ip, \
     s.refresh_hash, s.previous_hash";

impl Snapshot<'_> {
    /// A session with its user. A damaged index may name another row, so the ids are compared in the rows, too.
    pub(crate) fn session(&self, id: SessionId) -> Result<Option<(Session, User)>, Error> {
        let by_row = self.either(
            "ON u.seq = (SELECT seq FROM users WHERE id = s.user_id) AND u.id = s.user_id \
             WHERE s.seq = (SELECT seq FROM sessions WHERE id = ?1) AND s.id = ?1",
            "ON u.id = s.user_id WHERE s.id = ?1",
        );
        let sql = format!("SELECT {COLUMNS}, {SESSION_COLUMNS} FROM sessions s JOIN users u {by_row}");
        self.first(&sql, [id.as_uuid().as_bytes()], |row| {
            Ok((read_session(row, COLUMN_COUNT)?, read_user(row, 0)?))
        })
    }

    /// The sessions that exist of these, with their users, in one query of PostgreSQL.
    pub(super) fn sessions_with_users(&self, ids: &[SessionId]) -> Result<Vec<(Session, User)>, Error> {
        let sql = format!(
            "SELECT {COLUMNS}, {SESSION_COLUMNS} FROM sessions s JOIN users u ON u.id = s.user_id \
             WHERE s.id = ANY (CAST(CAST(?1 AS TEXT) AS UUID[]))"
        );
        let ids: Vec<_> = ids.iter().map(|id| id.as_uuid().to_string()).collect();
        self.all(&sql, [format!("{{{}}}", ids.join(","))], |row| {
            Ok((read_session(row, COLUMN_COUNT)?, read_user(row, 0)?))
        })
    }

    /// The sessions of a user that have not expired, latest used first.
    pub(crate) fn sessions_of(&self, user_id: UserId, now: Timestamp) -> Result<Vec<Session>, Error> {
        let sql = format!(
            "SELECT {SESSION_COLUMNS} FROM sessions s WHERE s.user_id = ?1 AND s.expires_at > ?2 \
             ORDER BY s.last_used_at DESC, s.seq DESC"
        );
        self.all(&sql, (user_id.as_uuid().as_bytes(), now.millis()), |row| read_session(row, 0))
    }

    /// How many sessions a user has, expired ones included.
    pub(crate) fn count_sessions_of(&self, user_id: UserId) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM sessions WHERE user_id = ?1", [user_id.as_uuid().as_bytes()])
    }

    /// Whether a user has a session that has not expired and began in this network.
    pub(crate) fn is_logged_in_from(
        &self,
        user_id: UserId,
        here: IpAddr,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let sql = "SELECT DISTINCT ip FROM sessions WHERE user_id = ?1 AND expires_at > ?2";
        let addresses: Vec<Option<String>> =
            self.all(sql, (user_id.as_uuid().as_bytes(), now.millis()), |row| row.get(0))?;
        Ok(addresses.iter().flatten().filter_map(|ip| ip.parse().ok()).any(|ip| network(ip) == here))
    }

    pub(crate) fn count_expired_sessions(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM sessions WHERE expires_at <= ?1", [now.millis()])
    }

    /// Counts sessions that have not expired, up to `most`.
    pub(crate) fn count_active_sessions(&self, now: Timestamp, most: u64) -> Result<u64, Error> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM sessions WHERE expires_at > ?1 LIMIT ?2) active";
        self.number(sql, (now.millis(), i64::try_from(most).unwrap_or(i64::MAX)))
    }
}

impl Tx<'_> {
    pub(crate) fn insert_session(&self, session: &Session) -> Result<(), Error> {
        self.execute_one(
            "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, user_agent, ip, refresh_hash) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                session.id.as_uuid().as_bytes(),
                session.user_id.as_uuid().as_bytes(),
                session.created_at.millis(),
                session.last_used_at.millis(),
                session.expires_at.millis(),
                session.client.user_agent.as_deref(),
                session.client.ip.map(|ip| ip.to_string()),
                session.current.0,
            ),
        )
    }

    /// Updates what a refresh changes.
    pub(crate) fn rotate_session(&self, session: &Session) -> Result<(), Error> {
        self.execute_one(
            "UPDATE sessions SET last_used_at = ?2, expires_at = ?3, refresh_hash = ?4, previous_hash = ?5 WHERE id = ?1",
            (
                session.id.as_uuid().as_bytes(),
                session.last_used_at.millis(),
                session.expires_at.millis(),
                session.current.0,
                session.previous.map(|hash| hash.0),
            ),
        )
    }

    /// Ends a session of a user; returns whether it existed and had not expired.
    pub(crate) fn delete_session(
        &self,
        id: SessionId,
        user_id: UserId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let sql = "DELETE FROM sessions WHERE id = ?1 AND user_id = ?2 AND expires_at > ?3";
        let (id, user_id) = (id.as_uuid().as_bytes(), user_id.as_uuid().as_bytes());
        Ok(self.execute(sql, (id, user_id, now.millis()))? > 0)
    }

    /// Ends all sessions of a user but `kept` and the `others` that were used last.
    pub(crate) fn delete_sessions_beyond(&self, kept: &Session, others: u32) -> Result<(), Error> {
        let sql = "DELETE FROM sessions WHERE seq IN (SELECT seq FROM sessions WHERE user_id = ?1 AND id <> ?2 \
                   ORDER BY last_used_at DESC, seq DESC LIMIT 1000000000 OFFSET ?3)";
        let (user_id, id) = (kept.user_id.as_uuid().as_bytes(), kept.id.as_uuid().as_bytes());
        self.execute(sql, (user_id, id, others))?;
        Ok(())
    }

    pub(crate) fn delete_sessions_of(&self, user_id: UserId) -> Result<(), Error> {
        self.execute("DELETE FROM sessions WHERE user_id = ?1", [user_id.as_uuid().as_bytes()])?;
        Ok(())
    }

    /// Ends every session of every user; returns the users who had one.
    pub(crate) fn delete_every_session(&self) -> Result<Vec<UserId>, Error> {
        let users = self
            .all("SELECT DISTINCT user_id FROM sessions", (), |row| Ok(UserId::from_uuid(uuid(row, 0)?)))?;
        self.execute("DELETE FROM sessions", ())?;
        Ok(users)
    }

    /// Ends every session of a user but `kept`, which may belong to another user.
    pub(crate) fn delete_sessions_but(&self, user_id: UserId, kept: Option<SessionId>) -> Result<(), Error> {
        let sql = "DELETE FROM sessions WHERE user_id = ?1 AND id IS DISTINCT FROM ?2";
        let kept = kept.as_ref().map(|id| id.as_uuid().as_bytes());
        self.execute(sql, (user_id.as_uuid().as_bytes(), kept))?;
        Ok(())
    }

    /// Deletes at most `limit` expired sessions; returns how many.
    pub(crate) fn delete_expired_sessions(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.delete_some("sessions", "seq", "expires_at <= ?1", limit, now)
    }
}

fn read_session(row: &Row<'_>, start: usize) -> RowResult<Session> {
    let ip: Option<String> = row.get(start + 6)?;
    Ok(Session {
        id: SessionId::from_uuid(uuid(row, start)?),
        user_id: UserId::from_uuid(uuid(row, start + 1)?),
        created_at: timestamp(row, start + 2)?,
        last_used_at: timestamp(row, start + 3)?,
        expires_at: timestamp(row, start + 4)?,
        client: Client { user_agent: row.get(start + 5)?, ip: ip.and_then(|ip| ip.parse().ok()) },
        current: TokenHash(row.get(start + 7)?),
        previous: row.get::<Option<[u8; 32]>>(start + 8)?.map(TokenHash),
    })
}
