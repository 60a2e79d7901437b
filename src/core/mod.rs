//! What every use case shares: the store and the time, errors, who asks, rate limits, codes, the audit, the outbox.
//!
//! It knows no noun. Across nouns there are only functions that take a transaction, to be called in the same commit.

mod attempt_price;
mod attempts_in_progress;
mod audit;
mod authority;
mod change_limits;
mod client_limits;
mod codes;
mod confirmation;
mod context;
mod error;
mod links;
mod live;
pub(crate) mod outbox;
mod outbox_pause;
mod password_attempts;
mod proof;
mod rate_limits;
mod redemption;
mod revocation;
mod sent_counts;
pub(crate) mod settings;
mod tasks;
mod timing;
mod token_bucket;

pub(crate) use self::{
    attempt_price::{Claim, reset_login_limits},
    audit::AuditActor,
    change_limits::{ChangeKind, change_charge, charge_export, refund_change},
    client_limits::{charge_strength_check, code_charge, message_charge, refund_code},
    codes::{
        CodeMessage, FreshCode, make_link, make_token, send_code, send_code_quietly, send_reminder,
        send_verification,
    },
    confirmation::Confirmation,
    context::{Core, Tx},
    live::{find_session, find_user, find_user_by_email, is_active, live_user, may_log_in},
    password_attempts::{PasswordAttempt, attempt, settle_correct},
    rate_limits::EXPORTS,
    redemption::{check_proof, find_by_link, redeem, refuse_dead_link},
    revocation::{Revoke, end_email_change, log_out_everywhere, revoke_access, revoke_sessions},
    sent_counts::{count_notice, forget_resets},
    timing::pad_to_step,
};
pub use self::{
    audit::cli,
    authority::{Actor, Admin},
    error::Error,
    proof::Proof,
};
