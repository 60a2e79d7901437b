//! A message to a person, whichever transport sends it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::Timestamp;

/// A UUIDv7, the same at every attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub Uuid);

/// What a message is about; `messaging` has the text for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum MessageKind {
    /// To a new account: confirm the address.
    #[serde(alias = "Confirm your e-mail")]
    VerifyEmail,
    /// To an account that is about to be deleted: confirm the address.
    VerifyReminder,
    /// To an account that an admin created: choose a password.
    Invitation,
    /// To an invited account that is about to be deleted: choose a password.
    InvitationReminder,
    #[serde(alias = "Choose a new password")]
    ResetPassword,
    /// To the new address of an account: confirm it.
    ChangeEmail,
    /// To the old address: a change was requested.
    #[serde(alias = "email_change_asked")]
    EmailChangeRequested {
        /// `Email::masked` of the new address.
        masked: String,
    },
    /// To the old address: it was changed.
    EmailChanged {
        /// `Email::masked` of the new address.
        masked: String,
    },
    PasswordChanged,
    /// By a request with its password.
    AccountDeleted,
    /// To an account: there was a sign-up with its address.
    AddressTaken,
    /// To try the settings.
    Test,
}

impl MessageKind {
    /// Whether it is a security notice, which must not be delayed: its reader may have to undo a change.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        match self {
            Self::EmailChangeRequested { .. }
            | Self::EmailChanged { .. }
            | Self::PasswordChanged
            | Self::AccountDeleted => true,
            Self::VerifyEmail
            | Self::VerifyReminder
            | Self::Invitation
            | Self::InvitationReminder
            | Self::ResetPassword
            | Self::ChangeEmail
            | Self::AddressTaken
            | Self::Test => false,
        }
    }
}

/// What is sent. Encrypted while it waits, since it carries secrets.
#[derive(Clone, Serialize, Deserialize)]
pub struct Message {
    pub to: String,
    #[serde(alias = "letter", alias = "subject", deserialize_with = "kind")]
    pub kind: MessageKind,
    pub code: Option<String>,
    #[serde(default)]
    pub code_until: Option<Timestamp>,
    pub link: Option<String>,
    /// `None` if the link carries no token and does not expire.
    #[serde(default)]
    pub link_until: Option<Timestamp>,
}

impl Message {
    /// Without code and link.
    #[must_use]
    pub const fn plain(to: String, kind: MessageKind) -> Self {
        Self { to, kind, code: None, code_until: None, link: None, link_until: None }
    }
}

/// Reads also what early databases contain: the subject instead of a kind, which named the shop in one case.
fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MessageKind, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    match value.as_str() {
        Some(subject) if subject.starts_with("You already have an account") => Ok(MessageKind::AddressTaken),
        _ => MessageKind::deserialize(value).map_err(de::Error::custom),
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A message that was not sent, as the operator sees it: without code and link.
#[derive(Clone, Debug)]
pub struct OutboxEntry {
    pub id: MessageId,
    pub to: String,
    /// `None` if it cannot be decrypted.
    pub kind: Option<MessageKind>,
    pub state: MessageState,
    pub attempts: u32,
    /// The time of the next attempt.
    pub due_at: Timestamp,
    pub created_at: Timestamp,
    /// From then on it is of no use to its reader.
    pub expires_at: Timestamp,
    pub last_error: Option<String>,
}

impl OutboxEntry {
    /// The name of the kind.
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.kind.as_ref().map_or("unreadable", MessageKind::into_str)
    }
}

/// Whether a message that was not sent is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, EnumString, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum MessageState {
    Waiting,
    /// Given up.
    Dead,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_version_left_waiting_can_be_read() {
        for (subject, kind) in [
            ("Confirm your e-mail", MessageKind::VerifyEmail),
            ("Choose a new password", MessageKind::ResetPassword),
            ("You already have an account at Blue Cup", MessageKind::AddressTaken),
        ] {
            let old =
                format!(r#"{{"to":"ann@example.com","subject":"{subject}","code":"123456","link":null}}"#);
            let message: Message = serde_json::from_str(&old).expect("a message");
            assert_eq!((message.kind, message.code.as_deref()), (kind, Some("123456")));
        }
        let changed =
            Message::plain("a@b.example".to_owned(), MessageKind::EmailChanged { masked: "a…".to_owned() });
        let text = serde_json::to_string(&changed).expect("JSON");
        assert_eq!(serde_json::from_str::<Message>(&text).expect("a message").kind, changed.kind);
    }

    #[test]
    fn neither_code_nor_link_is_printed() {
        let message = Message {
            code: Some("123456".to_owned()),
            link: Some("https://shop.example/verify?token=abc".to_owned()),
            ..Message::plain("ann@example.com".to_owned(), MessageKind::VerifyEmail)
        };
        assert_eq!(format!("{message:?}"), "Message { kind: VerifyEmail, .. }");
    }
}
