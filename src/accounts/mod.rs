//! RULES, one file a noun: the only door to the store, whichever way one comes in.

mod email_change;
mod export;
mod invitations;
pub(crate) mod outbox;
mod passwords;
mod profile;
pub(crate) mod registration;
mod reminders;
pub(crate) mod users;
pub(crate) mod verification;

pub(crate) use crate::{
    auth::{session_cache, sessions, signing_keys},
    core::{
        actor, attempts_in_progress, audit, change_limits, codes, error, links, password_attempts,
        rate_limits, tasks, timing,
    },
    crypto::{hashing, key_ring, memory, secret, tokens},
    operations::{purge, purge_hold},
};

pub(crate) use self::{
    change_limits::EXPORTS,
    codes::{CODE_TRIES, MAX_CODES, RESET_TTL},
    export::MAX_EXPORTED_EVENTS,
    sessions::MAX_SESSIONS,
};

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

pub use self::{
    actor::Actor,
    audit::console,
    error::Error,
    export::Export,
    invitations::{InvitationDraft, Invitee},
    key_ring::PublicKey,
    outbox::{LEASE, OutboxMessage, Retried, Room},
    passwords::PasswordReset,
    purge::{PurgeInterrupted, PurgePlan, PurgeScope, Purged},
    purge_hold::{ClockSeen, HoldReason, LEAP, PurgeHold},
    registration::{NewUser, Registered, SignupDraft},
    sessions::TokenPair,
    signing_keys::{KeyInfo, Rotation},
    users::Admin,
    verification::{LinkInfo, Proof, Rejected},
};
use self::{
    hashing::Hasher,
    rate_limits::RateLimits,
    secret::{InstallationSecret, SecretError},
    session_cache::SessionCache,
    tasks::Tasks,
    tokens::Tokens,
};
use crate::{
    config::Config,
    domain::{Clock, PasswordPolicy, Timestamp, User},
    files::OWNER_HINT,
    messaging::CircuitBreaker,
    store::{OpenError, SigningKeyRow, Store},
};

/// How long a stop waits for tries at a password whose requests have gone.
const DRAIN_TRIES: Duration = Duration::from_secs(1);

/// Every use case of user management, as a method. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) hasher: Hasher,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) session_cache: Arc<SessionCache>,
    pub(crate) last_reload: Arc<signing_keys::LastReload>,
    pub(crate) secret: Arc<InstallationSecret>,
    pub(crate) limits: Arc<RateLimits>,
    pub(crate) tasks: Tasks,
    /// Rung when a message was put into the outbox.
    pub(crate) posted: Arc<Notify>,
    pub(crate) circuit_breaker: Arc<CircuitBreaker>,
    pub(crate) rules: Arc<Rules>,
}

/// The settings that rules depend on.
pub(crate) struct Rules {
    pub(crate) policy: PasswordPolicy,
    pub(crate) unverified_after: Duration,
    pub(crate) code_ttl: Duration,
    pub(crate) refresh_ttl: Duration,
    pub(crate) session_ttl: Duration,
    pub(crate) reuse_grace: Duration,
    pub(crate) audit_retention: Duration,
    pub(crate) allow_unverified_login: bool,
    pub(crate) hide_taken_emails: bool,
    pub(crate) verify_url: String,
    pub(crate) reset_url: String,
}

/// Why the accounts cannot be opened, in words for whoever starts the program.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The installation secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The secret is not the one that the store was made with.
    #[error("the signing keys in the database were made with another installation secret")]
    OtherSecret,
    /// The store has keys, and the secret that opens them is gone.
    #[error(
        "the installation secret {0} is missing, and the database's signing keys cannot be read without it"
    )]
    SecretGone(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl StartError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::OtherSecret | Self::SecretGone(_) => {
                Some("put back the secret that belongs to this database: it is part of every backup")
            }
            Self::Secret(SecretError::Denied(_)) => Some(OWNER_HINT),
            Self::Secret(_) | Self::Failed(_) => None,
        }
    }
}

impl Accounts {
    /// Opens the accounts on an open store. The installation secret and the signing key are made where there is
    /// neither, which is the first start.
    ///
    /// # Errors
    /// In words for whoever starts the program.
    pub async fn open(config: &Config, store: Store, clock: Clock) -> Result<Self, StartError> {
        let mut rows = store.read(|tx| tx.signing_keys()).await.map_err(|e| failed(&e))?;
        let secret = Arc::new(load_secret(config, rows.is_empty())?);
        if rows.is_empty() {
            rows = first_key(&store, &secret, clock.now()).await?;
        }
        let issuers = signing_keys::names(store.read(|tx| tx.issuers()).await.map_err(|e| failed(&e))?);
        let tokens = Tokens::new(&rows, issuers, &secret, config).map_err(|_| StartError::OtherSecret)?;
        let hasher =
            Hasher::start(&config.password, config.concurrent_hashes()).map_err(|e| failed_to_start(&e))?;
        Ok(Self {
            store,
            clock,
            hasher,
            tokens: Arc::new(tokens),
            session_cache: Arc::default(),
            last_reload: Arc::default(),
            secret,
            limits: Arc::new(RateLimits::new(&config.rate_limit)),
            tasks: Tasks::default(),
            posted: Arc::new(Notify::new()),
            circuit_breaker: Arc::default(),
            rules: Arc::new(Rules::new(config)),
        })
    }

    /// Looks at the whole store for damage: now if it is small, meanwhile if it is not.
    ///
    /// # Errors
    /// If a small store is damaged.
    pub async fn check_integrity(&self) -> Result<(), StartError> {
        Ok(self.store.check_integrity().await?)
    }

    /// Whether the store answers; requests that wait for it do not matter.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(self.store.answers().await?)
    }

    /// Whether somebody can act as an admin yet.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn has_admin(&self) -> Result<bool, Error> {
        Ok(self.store.read(|tx| tx.count_active_admins()).await? > 0)
    }

    /// The clock that they go by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Closes the store behind them, once the tries at a password have ended that are under way.
    pub async fn close(self) {
        let left = self.tasks.drain(DRAIN_TRIES).await;
        if left > 0 {
            tracing::warn!(left, "tries at a password were cut short, and count as wrong");
        }
        let store = self.store.clone();
        drop(self);
        store.close().await;
    }

    /// The public keys that check our tokens.
    #[must_use]
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.tokens.public_keys()
    }
}

impl Rules {
    fn new(config: &Config) -> Self {
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

/// A user who is still there: an expired account counts as deleted, purged or not.
pub(crate) fn not_expired(user: Option<User>, now: Timestamp) -> Option<User> {
    user.filter(|user| !user.is_expired(now))
}

fn load_secret(config: &Config, first_start: bool) -> Result<InstallationSecret, StartError> {
    if let Some(given) = config.auth.secret.reveal() {
        return Ok(InstallationSecret::given(given)?);
    }
    let folder = config.database.data_folder();
    let file = folder.join(secret::FILE);
    if !first_start && !file.exists() {
        return Err(StartError::SecretGone(file.display().to_string()));
    }
    Ok(InstallationSecret::in_folder(folder)?)
}

/// Makes the first key; if two programs start together, both get the one that came first.
async fn first_key(
    store: &Store,
    secret: &InstallationSecret,
    now: Timestamp,
) -> Result<Vec<SigningKeyRow>, StartError> {
    let key = key_ring::make_key(secret, now).map_err(|e| failed_to_start(&e))?;
    let keys = store.write(move |tx| {
        if tx.signing_keys()?.is_empty() {
            tx.insert_signing_key(&key)?;
        }
        tx.signing_keys()
    });
    keys.await.map_err(|e| failed(&e))
}

fn failed(error: &crate::store::Error) -> StartError {
    StartError::Failed(error.to_string())
}

fn failed_to_start(error: &Error) -> StartError {
    match error {
        Error::Internal(why) => StartError::Failed(why.clone()),
        error => StartError::Failed(error.to_string()),
    }
}
