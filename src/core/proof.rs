//! What proves that a person reads the mail of an address.

use crate::domain::{Email, PlainToken};

#[derive(Clone, Debug)]
pub enum Proof {
    /// The digits, and the address they were sent to.
    Code(Email, String),
    /// The token of the link.
    Link(PlainToken),
}
