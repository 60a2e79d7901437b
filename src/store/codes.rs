//! The table `codes`.

use rusqlite::Row;

use super::{
    Error, Snapshot, Tx,
    tx::{timestamp, uuid, variant},
};
use crate::domain::{Code, CodeHash, Email, Purpose, Timestamp, TokenHash, UserId};

const COLUMNS: &str = "user_id, purpose, email, email_key, code_hash, code_expires_at, tries_left, token_hash, \
     token_expires_at";

impl Snapshot<'_> {
    /// Everything that was last sent to an address, for whichever user and purpose.
    pub(crate) fn codes_to(&self, email: &Email) -> Result<Vec<Code>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM codes WHERE email_key = ?1");
        self.all(&sql, [email.key()], read_code)
    }

    /// Everything that was last sent to a user.
    pub(crate) fn codes_of(&self, user_id: UserId) -> Result<Vec<Code>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM codes WHERE user_id = ?1");
        self.all(&sql, [user_id.as_uuid().as_bytes()], read_code)
    }

    /// What was sent with this link.
    pub(crate) fn code_by_token(&self, token: TokenHash) -> Result<Option<Code>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM codes WHERE token_hash = ?1");
        self.first(&sql, [token.0], read_code)
    }

    /// How many codes can no longer be used.
    pub(crate) fn count_dead_codes(&self, now: Timestamp) -> Result<u64, Error> {
        self.number("SELECT count(*) FROM codes WHERE token_expires_at <= ?1", [now.millis()])
    }
}

impl Tx<'_> {
    /// Keeps a code in the place of the one sent before it.
    pub(crate) fn put_code(&self, code: &Code) -> Result<(), Error> {
        self.execute_one(
            "INSERT OR REPLACE INTO codes (user_id, purpose, email, email_key, code_hash, code_expires_at, tries_left, \
             token_hash, token_expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
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

    /// Forgets the code and link of a user for a purpose.
    pub(crate) fn delete_code(&self, user_id: UserId, purpose: Purpose) -> Result<(), Error> {
        self.execute(
            "DELETE FROM codes WHERE user_id = ?1 AND purpose = ?2",
            (user_id.as_uuid().as_bytes(), purpose.into_str()),
        )?;
        Ok(())
    }

    /// Forgets every code and link of a user.
    pub(crate) fn delete_codes_of(&self, user_id: UserId) -> Result<(), Error> {
        self.execute("DELETE FROM codes WHERE user_id = ?1", [user_id.as_uuid().as_bytes()])?;
        Ok(())
    }

    /// Deletes codes that can no longer be used, at most `limit`; answers how many.
    pub(crate) fn delete_dead_codes(&self, now: Timestamp, limit: u32) -> Result<usize, Error> {
        self.execute(
            "DELETE FROM codes WHERE (user_id, purpose) IN \
             (SELECT user_id, purpose FROM codes WHERE token_expires_at <= ?1 LIMIT ?2)",
            (now.millis(), limit),
        )
    }
}

fn read_code(row: &Row<'_>) -> rusqlite::Result<Code> {
    Ok(Code {
        user_id: UserId::from_uuid(uuid(row, 0)?),
        purpose: variant(row, 1)?,
        email: Email::stored(row.get(2)?, row.get(3)?),
        code_hash: row.get::<_, Option<[u8; 32]>>(4)?.map(CodeHash),
        code_expires_at: timestamp(row, 5)?,
        tries_left: row.get(6)?,
        token_hash: TokenHash(row.get(7)?),
        token_expires_at: timestamp(row, 8)?,
    })
}
