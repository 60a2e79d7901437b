//! The table `codes`.

use super::{
    error::Error,
    sql::{Row, RowResult, timestamp, uuid, variant},
    tx::{Snapshot, Tx},
};
use crate::domain::{Code, CodeHash, Email, Purpose, Timestamp, TokenHash, UserId};

const COLUMNS: &str = "user_id, purpose, email, email_key, code_hash, code_expires_at, tries_left, token_hash, \
     token_expires_at";

impl Snapshot<'_> {
    /// The codes last sent to an address, for any user and purpose.
    pub(crate) fn codes_to(&self, email: &Email) -> Result<Vec<Code>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM codes WHERE email_key = ?1");
        self.all(&sql, [email.key()], read_code)
    }

    /// The codes last sent to a user, for any purpose.
    pub(crate) fn codes_of(&self, user_id: UserId) -> Result<Vec<Code>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM codes WHERE user_id = ?1");
        self.all(&sql, [user_id.as_uuid().as_bytes()], read_code)
    }

    pub(crate) fn code_by_token(&self, token: TokenHash) -> Result<Option<Code>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM codes WHERE token_hash = ?1");
        self.first(&sql, [token.0], read_code)
    }

    pub(crate) fn count_expired_codes(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM codes WHERE token_expires_at <= ?1", [now.millis()])
    }
}

impl Tx<'_> {
    /// Replaces the code that a user has for the same purpose.
    pub(crate) fn put_code(&self, code: &Code) -> Result<(), Error> {
        self.execute_one(
            "INSERT INTO codes (user_id, purpose, email, email_key, code_hash, code_expires_at, tries_left, \
             token_hash, token_expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
             ON CONFLICT (user_id, purpose) DO UPDATE SET email = excluded.email, email_key = excluded.email_key, \
             code_hash = excluded.code_hash, code_expires_at = excluded.code_expires_at, tries_left = excluded.tries_left, \
             token_hash = excluded.token_hash, token_expires_at = excluded.token_expires_at",
            (
                code.user_id.as_uuid().as_bytes(),
                code.purpose.into_str(),
                code.email.as_str(),
                code.email.key(),
                code.code_hash.map(|hash| hash.0),
                code.code_expires_at.millis(),
                code.tries_left,
                code.token_hash.0,
                code.token_expires_at.millis(),
            ),
        )
    }

    pub(crate) fn delete_code(&self, user_id: UserId, purpose: Purpose) -> Result<(), Error> {
        self.execute(
            "DELETE FROM codes WHERE user_id = ?1 AND purpose = ?2",
            (user_id.as_uuid().as_bytes(), purpose.into_str()),
        )?;
        Ok(())
    }

    pub(crate) fn delete_codes_of(&self, user_id: UserId) -> Result<(), Error> {
        self.execute("DELETE FROM codes WHERE user_id = ?1", [user_id.as_uuid().as_bytes()])?;
        Ok(())
    }

    /// Deletes at most `limit` codes whose link has expired; returns how many.
    pub(crate) fn delete_expired_codes(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.delete_some("codes", "user_id, purpose", "token_expires_at <= ?1", limit, now)
    }
}

fn read_code(row: &Row<'_>) -> RowResult<Code> {
    Ok(Code {
        user_id: UserId::from_uuid(uuid(row, 0)?),
        purpose: variant(row, 1)?,
        email: Email::stored(row.get(2)?, row.get(3)?),
        code_hash: row.get::<Option<[u8; 32]>>(4)?.map(CodeHash),
        code_expires_at: timestamp(row, 5)?,
        tries_left: row.get(6)?,
        token_hash: TokenHash(row.get(7)?),
        token_expires_at: timestamp(row, 8)?,
    })
}
