//! PostgreSQL's error codes as errors of the store (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use std::error::Error as _;

use tokio_postgres::{
    Column, Row,
    error::{DbError, Severity, SqlState},
};

use crate::store::error::{Error, Unique};

/// The constraint that makes addresses unique.
const EMAIL_KEY: &str = "users_email_key";

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server's, or the driver's.
    Statement(tokio_postgres::Error),
    /// No answer came until the deadline of the call.
    Deadline,
}

/// What a failure means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Usable,
    /// Its prepared statements are not valid any more.
    Stale,
    /// Usable, but a table is gone: the store may have been moved.
    NoTable,
    /// It is closed, or leads to a server that cannot write.
    Lost,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Statement(error)
    }
}

impl Failure {
    pub(super) fn condition(&self) -> Condition {
        match self {
            Self::Deadline => Condition::Lost,
            Self::Statement(error) => match error.as_db_error() {
                Some(error) => condition(error.code(), error.parsed_severity(), error.message()),
                // A parameter that cannot be encoded was not sent.
                None if is_before_sending(error) => Condition::Usable,
                None => Condition::Lost,
            },
        }
    }

    /// As an error of the store.
    pub(super) fn error(&self) -> Error {
        match self {
            Self::Deadline => Error::Unavailable("it does not answer in time".to_owned()),
            Self::Statement(error) => match error.as_db_error() {
                Some(error) => error_of(error),
                None if is_before_sending(error) => Error::Defect(text(error)),
                None => Error::Unavailable(text(error)),
            },
        }
    }
}

/// A value that this program cannot have written. The error omits the value, which may be personal data.
pub(in crate::store) fn unexpected_value(row: &Row, sql: &str, column: usize) -> Error {
    let name = row.columns().get(column).map_or("?", Column::name);
    Error::Defect(format!("an unexpected value in column {name} of {sql}"))
}

/// Whether a notice says that an administrator has cancelled the wait of a COMMIT for a synchronous standby. PostgreSQL answers
/// the COMMIT as any other: it is done there, and lost if that server is. The text depends on the server's language, the place
/// in its source does not.
pub(super) fn is_about_lacking_standby(notice: &DbError) -> bool {
    notice.parsed_severity() == Some(Severity::Warning) && notice.routine() == Some("SyncRepWaitForLSN")
}

/// The sentence about an error, without `DETAIL`, which may contain personal data.
pub(super) fn text(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(error), _) => format!("{} ({})", error.message(), error.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// The driver does not export the kinds of its errors.
fn is_before_sending(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error serializing parameter") || text.starts_with("expected ")
}

fn condition(code: &SqlState, severity: Option<Severity>, message: &str) -> Condition {
    let is_stale_plan = *code == SqlState::FEATURE_NOT_SUPPORTED && message.contains("cached plan");
    match code {
        _ if is_stale_plan => Condition::Stale,
        &SqlState::INVALID_SQL_STATEMENT_NAME => Condition::Stale,
        &SqlState::UNDEFINED_TABLE => Condition::NoTable,
        // A primary that has become a standby.
        &SqlState::READ_ONLY_SQL_TRANSACTION => Condition::Lost,
        _ if matches!(severity, Some(Severity::Fatal | Severity::Panic)) => Condition::Lost,
        code if code.code().starts_with("08") => Condition::Lost,
        _ => Condition::Usable,
    }
}

fn error_of(error: &DbError) -> Error {
    let text = format!("{} ({})", error.message(), error.code().code());
    let code = error.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        let is_email = error.constraint() == Some(EMAIL_KEY);
        return if is_email { Error::Taken(Unique::Email) } else { Error::Defect(text) };
    }
    match condition(code, error.parsed_severity(), error.message()) {
        Condition::Usable | Condition::NoTable => by_code(code, text),
        Condition::Stale => Error::Retry(text),
        Condition::Lost => Error::Unavailable(text),
    }
}

fn by_code(code: &SqlState, text: String) -> Error {
    let class = &code.code()[..code.code().len().min(2)];
    match code.code() {
        "40001" | "40P01" => Error::Retry(text),
        "53100" => Error::Full(text),
        // XX000 is also what some poolers answer.
        "57014" | "55P03" | "XX000" => Error::Unavailable(text),
        "XX001" | "XX002" => Error::Damaged(text),
        _ if matches!(class, "08" | "28" | "53") || code.code().starts_with("57P") => {
            Error::Unavailable(text)
        }
        _ => Error::Defect(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_the_error_that_its_caller_can_act_on() {
        let kind = |code: &str| match by_code(&SqlState::from_code(code), String::new()) {
            Error::Retry(_) => "retry",
            Error::Full(_) => "full",
            Error::Unavailable(_) => "unavailable",
            Error::Damaged(_) => "damaged",
            Error::Defect(_) => "defect",
            error => panic!("{code}: {error}"),
        };
        for (codes, wanted) in [
            ("40001 40P01", "retry"),
            ("53100", "full"),
            ("57014 55P03 08006 28P01 53300 53200 57P01 57P03 XX000", "unavailable"),
            ("XX001 XX002", "damaged"),
            ("42P01 42703 22021 23503 25P02", "defect"),
        ] {
            for code in codes.split(' ') {
                assert_eq!(kind(code), wanted, "{code}");
            }
        }
    }

    #[test]
    fn a_connection_is_given_up_only_for_what_concerns_it() {
        let of = |code: &str, severity, message| condition(&SqlState::from_code(code), severity, message);
        assert_eq!(of("40001", Some(Severity::Error), ""), Condition::Usable);
        assert_eq!(of("57014", Some(Severity::Error), "statement timeout"), Condition::Usable);
        assert_eq!(of("57P01", Some(Severity::Fatal), ""), Condition::Lost);
        assert_eq!(of("25006", Some(Severity::Error), ""), Condition::Lost);
        assert_eq!(of("42P01", Some(Severity::Error), ""), Condition::NoTable);
        assert_eq!(of("26000", Some(Severity::Error), ""), Condition::Stale);
        let changed = "cached plan must not change result type";
        assert_eq!(of("0A000", Some(Severity::Error), changed), Condition::Stale);
        assert_eq!(of("0A000", Some(Severity::Error), "no such feature"), Condition::Usable);
    }
}
