//! The table `users`.

use super::{
    error::{Error, Unique},
    sql::{BadColumn, Row, RowResult, maybe_timestamp, timestamp, uuid, variant},
    tx::{Snapshot, Tx},
};
use crate::domain::{
    Email, Name, Page, PasswordHash, Profile, Status, Timestamp, User, UserId, Verification,
};

/// The columns that `read_user` reads, in that order.
pub(super) const COLUMNS: &str = "u.id, u.email, u.email_key, u.first_name, u.last_name, u.role, u.status, \
     u.verified_at, u.expires_at, u.disabled, u.created_at, u.updated_at, u.last_login_at, u.password_hash IS NOT NULL";

pub(super) const COLUMN_COUNT: usize = 14;

/// The user whose id is the first parameter. The row is compared, too, because a damaged index may name the row of another
/// user.
const BY_ID: &str = "seq = (SELECT seq FROM users WHERE id = ?1) AND id = ?1";

/// The user whose normalized address is the first parameter, likewise.
const BY_EMAIL: &str = "seq = (SELECT seq FROM users WHERE email_key = ?1) AND email_key = ?1";

/// The last user of the page before in the list of those who are due to be deleted; the order of its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueUserCursor {
    expires_at: i64,
    role: &'static str,
    disabled: bool,
    seq: i64,
}

impl DueUserCursor {
    const START: Self = Self { expires_at: i64::MIN, role: "", disabled: false, seq: 0 };

    fn after(seq: i64, user: &User) -> Self {
        let (_, expires_at) = instants(user.verification);
        let expires_at = expires_at.map_or(i64::MIN, Timestamp::millis);
        Self { expires_at, role: user.role.into_str(), disabled: user.disabled, seq }
    }
}

impl Snapshot<'_> {
    pub(crate) fn user(&self, id: UserId) -> Result<Option<User>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM users u WHERE {BY_ID}");
        self.first(&sql, [id.as_uuid().as_bytes()], |row| read_user(row, 0))
    }

    /// A user with their password, if they have chosen one.
    pub(crate) fn user_by_email(&self, email: &Email) -> Result<Option<(User, Option<PasswordHash>)>, Error> {
        let sql = format!("SELECT {COLUMNS}, u.password_hash FROM users u WHERE {BY_EMAIL}");
        self.first(&sql, [email.key()], |row| {
            let hash: Option<String> = row.get(COLUMN_COUNT)?;
            Ok((read_user(row, 0)?, hash.map(PasswordHash::from_phc)))
        })
    }

    /// The password of a user; none if they have not chosen one, or do not exist.
    pub(crate) fn password(&self, id: UserId) -> Result<Option<PasswordHash>, Error> {
        let sql = format!("SELECT password_hash FROM users WHERE {BY_ID}");
        let found = self.first(&sql, [id.as_uuid().as_bytes()], |row| row.get::<Option<String>>(0))?;
        Ok(found.flatten().map(PasswordHash::from_phc))
    }

    /// By the rule of `User::is_active_admin`.
    pub(crate) fn count_active_admins(&self) -> Result<u64, Error> {
        self.number(
            "SELECT count(*) FROM users WHERE role = 'admin' AND status = 'verified' AND disabled = FALSE \
             AND password_hash IS NOT NULL",
            (),
        )
    }

    /// Reads one row, to tell whether the table can be read.
    pub(crate) fn probe_users(&self) -> Result<(), Error> {
        self.number("SELECT count(*) FROM (SELECT 1 FROM users LIMIT 1) one", ()).map(|_| ())
    }

    /// A page of the unverified accounts that expire by then, the first to expire first.
    pub(crate) fn due_users(
        &self,
        by: Timestamp,
        after: Option<DueUserCursor>,
        limit: u32,
    ) -> Result<Page<User, DueUserCursor>, Error> {
        let sql = format!(
            "SELECT {COLUMNS}, u.seq FROM users u WHERE u.status = 'unverified' AND u.expires_at <= ?1 \
             AND (u.expires_at, u.role, u.disabled, u.seq) > (?2, ?3, ?4, ?5) \
             ORDER BY u.expires_at, u.role, u.disabled, u.seq LIMIT ?6"
        );
        let DueUserCursor { expires_at, role, disabled, seq } = after.unwrap_or(DueUserCursor::START);
        let found = self.all(&sql, (by.millis(), expires_at, role, disabled, seq, limit + 1), |row| {
            Ok((row.get(COLUMN_COUNT)?, read_user(row, 0)?))
        })?;
        Ok(Page::first(found, limit as usize, |(seq, user)| DueUserCursor::after(*seq, user))
            .map(|(_, user)| user))
    }

    /// At most `limit` unverified users whose accounts expire between `now` and `by` and who were not reminded of it.
    pub(crate) fn users_to_remind(
        &self,
        now: Timestamp,
        by: Timestamp,
        limit: u32,
    ) -> Result<Vec<User>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM users u WHERE u.status = 'unverified' AND u.disabled = FALSE AND u.expires_at > ?1 \
             AND u.expires_at <= ?2 AND u.reminded_for IS DISTINCT FROM u.expires_at ORDER BY u.expires_at LIMIT ?3"
        );
        self.all(&sql, (now.millis(), by.millis(), limit), |row| read_user(row, 0))
    }

    pub(crate) fn count_all_users(&self) -> Result<u64, Error> {
        let sql = self.either("SELECT sum(users) FROM user_counts", "SELECT count(*) FROM users");
        self.number(sql, ())
    }

    pub(crate) fn count_due_users(&self, by: Timestamp) -> Result<u64, Error> {
        self.number(
            "SELECT count(*) FROM users WHERE status = 'unverified' AND expires_at <= ?1",
            [by.millis()],
        )
    }
}

impl Tx<'_> {
    /// # Errors
    /// `Taken(Unique::Email)`.
    pub(crate) fn insert_user(&self, user: &User, hash: Option<&PasswordHash>) -> Result<(), Error> {
        let profile = &user.profile;
        let (verified_at, expires_at) = instants(user.verification);
        let inserted = self.execute(
            "INSERT INTO users (id, email, email_key, first_name, last_name, search_text, password_hash, role, status, \
             disabled, created_at, updated_at, verified_at, expires_at, last_login_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
             ON CONFLICT (email_key) DO NOTHING",
            (
                user.id.as_uuid().as_bytes(),
                profile.email.as_str(),
                profile.email.key(),
                profile.first_name.as_ref().map(Name::as_str),
                profile.last_name.as_ref().map(Name::as_str),
                profile.search_text(),
                hash.map(PasswordHash::as_phc),
                user.role.into_str(),
                user.status().into_str(),
                user.disabled,
                user.created_at.millis(),
                user.updated_at.millis(),
                verified_at.map(Timestamp::millis),
                expires_at.map(Timestamp::millis),
                user.last_login_at.map(Timestamp::millis),
            ),
        )?;
        if inserted == 0 { Err(Error::Taken(Unique::Email)) } else { Ok(()) }
    }

    /// Updates everything that can change but the password.
    ///
    /// # Errors
    /// `Taken(Unique::Email)`.
    pub(crate) fn update_user(&self, user: &User) -> Result<(), Error> {
        let profile = &user.profile;
        let (verified_at, expires_at) = instants(user.verification);
        self.execute_one(
            &format!(
                "UPDATE users SET email = ?2, email_key = ?3, first_name = ?4, last_name = ?5, search_text = ?6, \
                 role = ?7, status = ?8, disabled = ?9, updated_at = ?10, verified_at = ?11, expires_at = ?12, \
                 last_login_at = ?13 WHERE {BY_ID}"
            ),
            (
                user.id.as_uuid().as_bytes(),
                profile.email.as_str(),
                profile.email.key(),
                profile.first_name.as_ref().map(Name::as_str),
                profile.last_name.as_ref().map(Name::as_str),
                profile.search_text(),
                user.role.into_str(),
                user.status().into_str(),
                user.disabled,
                user.updated_at.millis(),
                verified_at.map(Timestamp::millis),
                expires_at.map(Timestamp::millis),
                user.last_login_at.map(Timestamp::millis),
            ),
        )
    }

    pub(crate) fn set_last_login(&self, id: UserId, now: Timestamp) -> Result<(), Error> {
        self.execute_one(
            &format!("UPDATE users SET last_login_at = ?2 WHERE {BY_ID}"),
            (id.as_uuid().as_bytes(), now.millis()),
        )
    }

    /// Records that a user was reminded of the expiry of their account.
    pub(crate) fn set_reminded(&self, id: UserId) -> Result<(), Error> {
        self.execute_one(
            &format!("UPDATE users SET reminded_for = expires_at WHERE {BY_ID}"),
            [id.as_uuid().as_bytes()],
        )
    }

    pub(crate) fn set_password(&self, id: UserId, hash: &PasswordHash) -> Result<(), Error> {
        self.execute_one(
            &format!("UPDATE users SET password_hash = ?2 WHERE {BY_ID}"),
            (id.as_uuid().as_bytes(), hash.as_phc()),
        )
    }

    /// Deletes a user and, by the foreign keys, everything that belongs to them.
    pub(crate) fn delete_user(&self, id: UserId) -> Result<(), Error> {
        self.execute_one(&format!("DELETE FROM users WHERE {BY_ID}"), [id.as_uuid().as_bytes()])
    }

    /// Deletes an expired account, which releases its address; returns its user.
    pub(crate) fn delete_expired_user(&self, email: &Email, now: Timestamp) -> Result<Option<UserId>, Error> {
        let deleted = self.returning(
            &format!(
                "DELETE FROM users WHERE {BY_EMAIL} AND status = 'unverified' AND expires_at <= ?2 RETURNING id"
            ),
            (email.key(), now.millis()),
            |row| Ok(UserId::from_uuid(uuid(row, 0)?)),
        )?;
        Ok(deleted.first().copied())
    }

    /// Deletes at most `limit` unverified accounts that expire by then, oldest first; returns their users.
    pub(crate) fn delete_due_users(&self, by: Timestamp, limit: u32) -> Result<Vec<UserId>, Error> {
        let (index, skip_locked) = (self.either("INDEXED BY users_by_expiry", ""), self.skip_locked());
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT seq FROM users {index} WHERE status = 'unverified' AND expires_at <= ?1 \
             ORDER BY expires_at LIMIT ?2{skip_locked}) DELETE FROM users WHERE seq IN (SELECT seq FROM due) RETURNING id"
        );
        self.returning(&sql, (by.millis(), limit), |row| Ok(UserId::from_uuid(uuid(row, 0)?)))
    }
}

/// Reads a user from the columns from `start` on.
pub(super) fn read_user(row: &Row<'_>, start: usize) -> RowResult<User> {
    let name = |column: usize| -> RowResult<Option<Name>> {
        Ok(row.get::<Option<String>>(start + column)?.map(Name::stored))
    };
    let verification = match variant(row, start + 6)? {
        Status::Verified => maybe_timestamp(row, start + 7)?.map(|at| Verification::Done { at }),
        Status::Unverified => {
            maybe_timestamp(row, start + 8)?.map(|expires_at| Verification::Pending { expires_at })
        }
    };
    Ok(User {
        id: UserId::from_uuid(uuid(row, start)?),
        profile: Profile {
            email: Email::stored(row.get(start + 1)?, row.get(start + 2)?),
            first_name: name(3)?,
            last_name: name(4)?,
        },
        role: variant(row, start + 5)?,
        verification: verification.ok_or_else(|| BadColumn(start + 6))?,
        disabled: row.get(start + 9)?,
        created_at: timestamp(row, start + 10)?,
        updated_at: timestamp(row, start + 11)?,
        last_login_at: maybe_timestamp(row, start + 12)?,
        has_password: row.get(start + 13)?,
    })
}

fn instants(verification: Verification) -> (Option<Timestamp>, Option<Timestamp>) {
    match verification {
        Verification::Done { at } => (Some(at), None),
        Verification::Pending { expires_at } => (None, Some(expires_at)),
    }
}
