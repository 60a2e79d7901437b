//! Every way to be refused, the same through every channel.

use std::time::Duration;

use crate::{
    crypto::{HashError, KeyError, Unsealed},
    domain::Invalid,
    store::{self, Unique},
};

/// Why a use case did not do what it was asked to; unless it says otherwise, nothing was changed. The text is for clients.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// Unknown address or wrong password; it does not tell which.
    #[error("The e-mail address or the password is wrong.")]
    InvalidCredentials,
    /// Not the password of the user who is signed in.
    #[error("The current password is wrong.")]
    WrongPassword,
    #[error("Missing, invalid or expired access token. Log in, or renew it with the refresh token.")]
    InvalidToken,
    #[error("Invalid, expired or used refresh token. Log in again.")]
    InvalidRefreshToken,
    /// Wrong, used, expired, for no account, or tried too often; it does not tell which.
    #[error("The code or link is invalid or has expired. Request a new one.")]
    VerificationFailed,
    #[error("You are not allowed to do this. It is for admins only.")]
    Forbidden,
    /// Told only after the correct password.
    #[error("This account is disabled. Ask the shop to enable it.")]
    AccountDisabled,
    /// Told only after the correct password.
    #[error("Confirm your e-mail address first, with the code or link that was sent to it.")]
    EmailNotVerified,
    #[error("Not found. It does not exist, or was deleted.")]
    NotFound,
    #[error("Another account has this e-mail address. Use another one.")]
    EmailTaken,
    /// The change would leave the shop without an admin.
    #[error("This is the last active admin. Make another user an admin first.")]
    LastAdmin,
    #[error("Too many attempts. Wait {} and try again.", in_words(*retry_after))]
    TooManyRequests {
        /// Seconds until the next attempt is allowed.
        retry_after: u64,
    },
    #[error("The server is busy. Try again in a moment.")]
    Busy,
    /// The store cannot answer. The cause, as in the next three, is for the log and the command line, and holds no secret.
    #[error("The server cannot answer right now. Nothing was changed. Try again in a moment.")]
    Unavailable(String),
    #[error("The server's disk is full. Nothing was changed. Try again later.")]
    StorageFull(String),
    /// The one refusal after which the change may have been made: the connection broke while it was committed.
    #[error("The change may have been made. Look before you try again.")]
    OutcomeUnknown(String),
    /// A defect.
    #[error("Something went wrong on the server. It was logged under the id of the request.")]
    Internal(String),
}

impl Error {
    /// The same for the operator: with the cause, and without advice to a client.
    #[must_use]
    pub fn in_full(&self) -> String {
        match self {
            Self::Unavailable(why) => format!("the database cannot answer: {why}"),
            Self::StorageFull(why) => format!("the disk is full: {why}"),
            Self::OutcomeUnknown(why) => format!("the database did not confirm a change: {why}. {self}"),
            Self::Internal(why) => format!("this should not happen: {why}"),
            refused => refused.to_string(),
        }
    }

    pub(crate) fn too_many_requests(wait: Duration) -> Self {
        let seconds = u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
        Self::TooManyRequests { retry_after: seconds.max(1) }
    }
}

/// A wait in its largest unit, rounded up: 1,197 seconds are 20 minutes.
fn in_words(seconds: u64) -> String {
    let (number, unit) = match seconds {
        ..60 => (seconds, "second"),
        60..3600 => (seconds.div_ceil(60), "minute"),
        3600.. => (seconds.div_ceil(3600), "hour"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// What becomes of the errors of primitives: none of them is about the request, but that too many passwords wait.
impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Damaged(_) => Self::Unavailable(format!("the database is damaged: {error}")),
            HashError::Failed(why) => Self::Internal(why),
        }
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Unsealed> for Error {
    fn from(error: Unsealed) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Taken(Unique::Email) => Self::EmailTaken,
            store::Error::Full(why) => Self::StorageFull(why),
            store::Error::Unavailable(why) => Self::Unavailable(why),
            store::Error::OutcomeUnknown(why) => Self::OutcomeUnknown(why),
            store::Error::Damaged(_) => Self::Unavailable(error.to_string()),
            store::Error::Retry(why) | store::Error::Defect(why) => Self::Internal(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_sees_the_cause_and_a_client_does_not() {
        for error in [Error::Unavailable, Error::StorageFull, Error::Internal] {
            let error = error("the till is shut".to_owned());
            assert!(error.in_full().ends_with(": the till is shut"), "{error:?}");
            assert!(!error.to_string().contains("till"), "{error:?}");
        }
        assert_eq!(
            Error::OutcomeUnknown("the till is shut".to_owned()).in_full(),
            "the database did not confirm a change: the till is shut. The change may have been made. Look before you try again."
        );
        assert_eq!(Error::LastAdmin.in_full(), Error::LastAdmin.to_string());
    }

    #[test]
    fn a_wait_is_told_in_its_largest_unit() {
        for (seconds, words) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (61, "2 minutes"),
            (1_197, "20 minutes"),
            (3_599, "60 minutes"),
            (3_600, "1 hour"),
            (86_400, "24 hours"),
        ] {
            let refused = Error::TooManyRequests { retry_after: seconds };
            assert_eq!(refused.to_string(), format!("Too many attempts. Wait {words} and try again."));
        }
    }
}
