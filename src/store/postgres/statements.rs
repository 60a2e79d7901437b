//! Prepared statements of one connection, by their text.

use std::{cell::RefCell, collections::HashMap};

use tokio_postgres::{Client, Statement};

/// The most statements that a connection keeps prepared. There are fewer texts, but for lists with many filters.
const MOST: usize = 512;

#[derive(Default)]
pub(super) struct Statements(RefCell<HashMap<String, Statement>>);

impl Statements {
    /// The prepared statement for a text with placeholders `?1`.
    pub(super) async fn prepared(
        &self,
        client: &Client,
        sql: &str,
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(known) = self.0.borrow().get(sql) {
            return Ok(known.clone());
        }
        let statement = client.prepare(&with_dollars(sql)).await?;
        let mut known = self.0.borrow_mut();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

/// The text with PostgreSQL's placeholders: `$1` for `?1`. No constant in a statement contains a question mark before a digit.
pub(super) fn with_dollars(sql: &str) -> String {
    shifted(sql, '$', 0)
}

/// The text with its placeholders numbered from `offset` + 1 on, and with another sign before them.
pub(in crate::store) fn shifted(sql: &str, sign: char, offset: usize) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match part[..digits].parse::<usize>() {
            Ok(number) => {
                text.push(sign);
                text.push_str(&(number + offset).to_string());
            }
            Err(_) => {
                text.push('?');
                text.push_str(&part[..digits]);
            }
        }
        text.push_str(&part[digits..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_keep_their_numbers_or_are_numbered_anew() {
        let sql = "UPDATE t SET x = ?2, y = ?10 WHERE id = ?1 AND z <> '?'";
        assert_eq!(with_dollars(sql), "UPDATE t SET x = $2, y = $10 WHERE id = $1 AND z <> '?'");
        assert_eq!(shifted("a = ?1 AND b = ?3", '?', 4), "a = ?5 AND b = ?7");
        assert_eq!(with_dollars(""), "");
    }
}
