//! A message to a person: what is said, whatever carries it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A message's id: a UUIDv7, stable over every attempt to deliver it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub Uuid);

/// What is sent; sealed while it waits, for it carries what must not lie readable in a database.
#[derive(Clone, Serialize, Deserialize)]
pub struct Message {
    /// The address it goes to.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The six digits, if it has any.
    pub code: Option<String>,
    /// The link, if it has one.
    pub link: Option<String>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("subject", &self.subject).finish_non_exhaustive()
    }
}
