//! The chapters of the documentation.

use poem_openapi::Tags;

/// The names of the chapters, in the order of the documentation.
pub const CHAPTERS: [&str; 6] = ["Registration", "Sessions", "Own account", "Users", "Audit", "Operation"];

#[derive(Tags)]
pub enum Tag {
    /// Sign up, verify an e-mail address, reset a password.
    Registration,
    /// Log in, renew tokens, log out.
    Sessions,
    /// The account of the authenticated user.
    #[oai(rename = "Own account")]
    OwnAccount,
    /// The accounts of all users, for admins.
    Users,
    /// Changes to accounts: by whom, when and from where.
    Audit,
    /// Probes and public keys, for the operator of the server and for other services.
    Operation,
}
