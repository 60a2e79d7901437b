//! The settings that rules depend on, and the fixed numbers that texts quote.

use std::time::Duration;

use crate::{config::Config, domain::PasswordPolicy};

/// A user has at most so many sessions: more than devices, and few enough to be shown at once.
pub const MAX_SESSIONS: u64 = 120;
/// So many sessions are left when there would be more: ending some together costs much less than one at each login.
pub const KEPT_SESSIONS: u32 = 100;
/// A code is dead after so many wrong attempts.
pub const CODE_TRIES: u8 = 5;
/// An address is sent so many codes for one purpose, as long as they count: with five attempts each, guessing at all of them
/// succeeds once in 20,000 times.
pub const MAX_CODES: u8 = 10;
/// An address is sent so many messages for one purpose at once. Past the codes they hold links alone, and past these
/// messages there is one link in each [`RESET_TTL`]: as long as a link to choose a password lives, so that requests by others
/// lock no user out.
pub const MAX_CODE_MESSAGES: u8 = 20;
/// How long a link to choose a password lives.
pub const RESET_TTL: Duration = Duration::from_hours(1);
/// So many audit events, the latest, are in an export.
pub const MAX_EXPORTED_EVENTS: usize = 2_000;
/// So many messages that were not sent are in an export.
pub const MAX_EXPORTED_MESSAGES: usize = 200;
/// How long a notice, which holds nothing that expires, is worth reading.
pub const NOTICE_TTL: Duration = Duration::from_hours(7 * 24);
/// How long a message that has expired can still be seen.
pub const DEAD_MESSAGE_TTL: Duration = Duration::from_hours(7 * 24);

/// The settings that rules depend on.
pub struct Settings {
    pub policy: PasswordPolicy,
    pub unverified_after: Duration,
    pub code_ttl: Duration,
    pub refresh_ttl: Duration,
    pub session_ttl: Duration,
    pub reuse_grace: Duration,
    pub audit_retention: Duration,
    pub allow_unverified_login: bool,
    pub hide_taken_emails: bool,
    /// The page that links to verify an address open.
    pub verify_url: String,
    /// The page that links to choose a password open.
    pub reset_url: String,
}

impl Settings {
    pub fn new(config: &Config) -> Self {
        Self {
            policy: PasswordPolicy {
                min_chars: config.password.min_length,
                shop_name: config.messages.shop_name.clone(),
            },
            unverified_after: config.cleanup.unverified_after.get(),
            code_ttl: config.verification.code_ttl.get(),
            refresh_ttl: config.auth.refresh_ttl.get(),
            session_ttl: config.auth.session_ttl.get(),
            reuse_grace: config.auth.reuse_grace.get(),
            audit_retention: config.audit.retention.get(),
            allow_unverified_login: config.auth.allow_unverified_login,
            hide_taken_emails: config.auth.hide_taken_emails,
            verify_url: config.verify_url(),
            reset_url: config.reset_url(),
        }
    }
}
