//! A message to a person: what is said, whatever carries it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::Timestamp;

/// A message's id: a UUIDv7, stable over every attempt to deliver it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub Uuid);

/// What a message is about; `delivery` has the words for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum MessageKind {
    /// Confirm the address of a new account.
    #[serde(alias = "Confirm your e-mail")]
    VerifyEmail,
    /// The account is about to be deleted: confirm the address.
    VerifyReminder,
    /// An admin made an account: choose a password.
    Invitation,
    /// The account is about to be deleted: choose a password.
    InvitationReminder,
    /// Choose a new password.
    #[serde(alias = "Choose a new password")]
    ResetPassword,
    /// Confirm the address that an account shall have from now on.
    ChangeEmail,
    /// To the old address: somebody asked for that.
    #[serde(alias = "email_change_asked")]
    EmailChangeRequested {
        /// The new address, made unreadable to strangers.
        masked: String,
    },
    /// To the old address: it was done.
    EmailChanged {
        /// The new address, made unreadable to strangers.
        masked: String,
    },
    /// The password was changed.
    PasswordChanged,
    /// The account was deleted by whoever knew its password.
    AccountDeleted,
    /// Somebody tried to sign up with the address of an account.
    AddressTaken,
    /// Nothing: messages arrive.
    Test,
}

impl MessageKind {
    /// Whether it tells the owner of an account of a change that they may have to stop: nothing may delay it.
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

/// What is sent; sealed while it waits, for it carries what must not lie readable in a database.
#[derive(Clone, Serialize, Deserialize)]
pub struct Message {
    /// The address it goes to.
    pub to: String,
    /// What it is about.
    #[serde(alias = "letter", alias = "subject", deserialize_with = "kind")]
    pub kind: MessageKind,
    /// The six digits, if it has any.
    pub code: Option<String>,
    /// Until when they count.
    #[serde(default)]
    pub code_until: Option<Timestamp>,
    /// The link, if it has one.
    pub link: Option<String>,
    /// Until when it counts; one without an end is the address of a page.
    #[serde(default)]
    pub link_until: Option<Timestamp>,
}

impl Message {
    /// A message that carries neither code nor link.
    #[must_use]
    pub const fn plain(to: String, kind: MessageKind) -> Self {
        Self { to, kind, code: None, code_until: None, link: None, link_until: None }
    }
}

/// A letter, also as 0.1 wrote it before there were letters: by its subject, which named the shop in one case.
fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MessageKind, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    match value.as_str() {
        Some(subject) if subject.starts_with("You already have an account") => Ok(MessageKind::AddressTaken),
        _ => MessageKind::deserialize(value).map_err(de::Error::custom),
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("letter", &self.kind).finish_non_exhaustive()
    }
}

/// A message as its keeper sees it: where it goes and how it fares, not what it carries.
#[derive(Clone, Debug)]
pub struct OutboxEntry {
    /// Its id.
    pub id: MessageId,
    /// The address it goes to.
    pub to: String,
    /// What it is about; nothing if it cannot be read any more.
    pub kind: Option<MessageKind>,
    /// Whether it still waits to be sent.
    pub state: MessageState,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before.
    pub due_at: Timestamp,
    /// When it was written.
    pub created_at: Timestamp,
    /// Worth nothing to its reader from then on.
    pub expires_at: Timestamp,
    /// Why the latest attempt failed.
    pub last_error: Option<String>,
}

impl OutboxEntry {
    /// The word for what it is about.
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.kind.as_ref().map_or("unreadable", MessageKind::into_str)
    }
}

/// What became of a message that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, EnumString, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum MessageState {
    /// It is tried, or will be.
    Waiting,
    /// Nobody tries any more.
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
        assert_eq!(format!("{message:?}"), "Message { letter: VerifyEmail, .. }");
    }
}
