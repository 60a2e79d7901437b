//! Why a message was not sent, and whether other messages or further attempts can succeed.

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryError {
    pub(super) kind: Kind,
    reason: String,
    response: Option<String>,
}

/// What a failure says about this message and about others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There was no connection to spare: this message was not attempted.
    NotAttempted,
    /// Nothing answered, or not in time.
    Unreachable,
    /// The server answered that it takes no messages for now.
    Unavailable,
    /// The server rejected the login, the sender or the connection.
    AuthRejected,
    /// This message was refused for now.
    Deferred,
    /// This message was handed over and not acknowledged: it may have arrived.
    Unconfirmed,
    /// This message was refused for good (RFC 5321, section 4.2.1: 5yz), or cannot be sent at all.
    Rejected,
}

impl DeliveryError {
    /// The server takes no further connection: the message waits for an open one, and counts as not attempted.
    #[must_use]
    pub const fn not_attempted(reason: String) -> Self {
        Self::new(Kind::NotAttempted, reason, None)
    }

    /// Nothing answered, or not in time: every other message would fail, too.
    #[must_use]
    pub const fn unreachable(reason: String) -> Self {
        Self::new(Kind::Unreachable, reason, None)
    }

    /// The server takes no messages for now: every other message would fail, too.
    #[must_use]
    pub const fn unavailable(reason: String, response: Option<String>) -> Self {
        Self::new(Kind::Unavailable, reason, response)
    }

    /// The server rejected the login, the sender or the connection: every other message would fail, too, and repeated attempts
    /// can get the account blocked.
    #[must_use]
    pub const fn auth_rejected(reason: String, response: Option<String>) -> Self {
        Self::new(Kind::AuthRejected, reason, response)
    }

    /// This message was refused for now; others may be accepted.
    #[must_use]
    pub const fn deferred(reason: String, response: Option<String>) -> Self {
        Self::new(Kind::Deferred, reason, response)
    }

    /// This message was handed over and not acknowledged: it may have arrived.
    #[must_use]
    pub const fn unconfirmed(reason: String) -> Self {
        Self::new(Kind::Unconfirmed, reason, None)
    }

    /// This message was refused for good, or cannot be sent at all.
    #[must_use]
    pub const fn rejected(reason: String, response: Option<String>) -> Self {
        Self::new(Kind::Rejected, reason, response)
    }

    const fn new(kind: Kind, reason: String, response: Option<String>) -> Self {
        Self { kind, reason, response }
    }

    /// What went wrong, without a full stop, for the log: it contains nothing of the message.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    #[must_use]
    pub fn is_attempted(&self) -> bool {
        self.kind != Kind::NotAttempted
    }

    /// Whether every other message would fail, too.
    #[must_use]
    pub fn is_transport_wide(&self) -> bool {
        matches!(self.kind, Kind::Unreachable | Kind::Unavailable | Kind::AuthRejected)
    }

    /// Whether every further attempt would fail, too.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.kind == Kind::Rejected
    }

    /// The reason with the server's response, which may name the recipient: not for the log.
    #[must_use]
    pub fn with_response(&self) -> String {
        const MAX_CHARS: usize = 300;
        let Some(response) = self.response.as_deref().filter(|response| !response.is_empty()) else {
            return self.reason.clone();
        };
        let response: String =
            response.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect();
        format!("{}; it said: {}", self.reason, response.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_omits_the_response() {
        let error =
            DeliveryError::rejected("not taken".to_owned(), Some("550 no ann@example.com".to_owned()));
        assert_eq!(error.reason(), "not taken");
        assert_eq!(error.with_response(), "not taken; it said: 550 no ann@example.com");
    }
}
