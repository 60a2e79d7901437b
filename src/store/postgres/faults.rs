//! Why a connection cannot be made, in words for the operator. No text has a user or a password.

use std::{error::Error as _, io};

use tokio_postgres::Error;

use super::{errors, tls};
use crate::store::{ServerFault, Unmet};

/// Why there is no connection to a host.
pub(super) fn of_connecting(error: &Error, host: &str) -> ServerFault {
    if let Some(error) = error.as_db_error() {
        return by_code(error.code().code(), error.message());
    }
    let cause = error.source();
    if let Some(error) = cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        if let Some(fault) = tls::fault(error, host) {
            return fault;
        }
        // The driver's own, about target_session_attrs.
        if error.to_string() == "database does not allow writes" {
            return read_only();
        }
    }
    // The driver does not export the kinds of its errors.
    match cause.map(ToString::to_string).as_deref() {
        Some("password missing") => ServerFault::NoPassword,
        Some("server does not support TLS") => ServerFault::NoTls,
        _ if error.to_string() == "authentication error" => ServerFault::Failed(errors::text(error)),
        // The cause says enough: `Connection refused`.
        Some(cause) => ServerFault::Absent(cause.to_owned()),
        None => ServerFault::Absent(error.to_string()),
    }
}

fn by_code(code: &str, message: &str) -> ServerFault {
    match code {
        "28000" | "28P01" => ServerFault::Login,
        "3D000" => ServerFault::NoDatabase,
        // PgBouncer's.
        "08P01" if message.contains("startup parameter") => {
            ServerFault::Options(format!("{message} ({code})"))
        }
        // It starts or stops, or has no connection to spare.
        _ if code.starts_with("57P") || code.starts_with("53") || code.starts_with("08") => {
            ServerFault::Absent(format!("{message} ({code})"))
        }
        _ => ServerFault::Failed(format!("{message} ({code})")),
    }
}

/// A standby, or a server that its operator has made read-only.
pub(super) fn read_only() -> ServerFault {
    ServerFault::Unfit(vec![Unmet {
        setting: "transaction_read_only",
        value: "on".to_owned(),
        wanted: "off: this is the server that can write",
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_must_mend_is_told_from_a_server_that_is_away() {
        assert_eq!(by_code("28P01", "password authentication failed for user \"ann\""), ServerFault::Login);
        assert_eq!(by_code("3D000", "no such database"), ServerFault::NoDatabase);
        let refused = by_code("08P01", "unsupported startup parameter: options");
        assert_eq!(
            refused,
            ServerFault::Options("unsupported startup parameter: options (08P01)".to_owned())
        );
        for code in ["57P03", "53300", "08006", "08P01"] {
            assert!(matches!(by_code(code, "not now"), ServerFault::Absent(_)), "{code}");
        }
        assert_eq!(by_code("42704", "no"), ServerFault::Failed("no (42704)".to_owned()));
    }
}
