//! Everything the program can do, as a list of nouns that is built in one place.

use std::time::Duration;

use crate::{
    accounts::{
        Audit, EmailChange, Exports, Invitations, Passwords, Profile, Registration, Reminders, Users,
        Verification,
    },
    auth::{self, KeyReload, Sessions, SigningKeys},
    config::{Config, Database},
    core::{Confirmation, Core, Error},
    crypto::{Hasher, InstallationSecret, KeyError, SecretError, secret_file},
    domain::Clock,
    files::OWNER_HINT,
    messaging::Outbox,
    operations::{Health, Purge, StoreMove},
    store::{self, OpenError, ServerFault, Store},
};
pub use crate::{
    crypto::PublicKey,
    operations::{MoveError, MoveMode, MoveProgress, Moved},
    store::{OpenMode, TableContent},
};

/// How long a shutdown waits for attempts at a password whose requests have gone away.
const DRAIN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Everything the program can do. Callers take the nouns that they use; each is cheap to clone.
#[derive(Clone)]
pub struct App {
    pub registration: Registration,
    pub verification: Verification,
    pub passwords: Passwords,
    pub profile: Profile,
    pub email_change: EmailChange,
    pub exports: Exports,
    pub users: Users,
    pub invitations: Invitations,
    pub reminders: Reminders,
    pub audit: Audit,
    pub sessions: Sessions,
    pub signing_keys: SigningKeys,
    pub outbox: Outbox,
    pub purge: Purge,
    pub health: Health,
    core: Core,
}

/// Startup error, shown to the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Move(#[from] MoveError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the signing keys in the database were made with another installation secret")]
    OtherSecret,
    #[error(
        "the installation secret {0} is missing, and the database's signing keys cannot be read without it"
    )]
    SecretGone(String),
    #[error("{0}")]
    Failed(String),
}

impl StartError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Move(error) => error.hint(),
            Self::OtherSecret | Self::SecretGone(_) => {
                Some("put back the secret that belongs to this database: it is part of every backup")
            }
            Self::Secret(SecretError::Denied(_)) => Some(OWNER_HINT),
            Self::Secret(_) | Self::Failed(_) => None,
        }
    }
}

impl App {
    /// Opens the store, and the app on it; returns whether the store is new, too.
    ///
    /// # Errors
    /// To be shown to the operator.
    pub async fn start(config: &Config, mode: OpenMode, clock: Clock) -> Result<(Self, bool), StartError> {
        let (store, migrated) = Store::open(&config.database, mode).await?;
        let is_new = migrated.first().is_some_and(|first| first.starts_with("V1__"));
        // Of a new database the log says only that it was created.
        for migration in migrated.iter().filter(|_| !is_new) {
            tracing::info!(migration, "applied a migration");
        }
        Ok((Self::open(config, store, clock).await?, is_new))
    }

    /// The app on an open store. At the first start, the installation secret and the signing key are made.
    ///
    /// # Errors
    /// To be shown to the operator.
    pub async fn open(config: &Config, store: Store, clock: Clock) -> Result<Self, StartError> {
        let is_first_start = store.read(|tx| Ok::<_, Error>(tx.signing_keys()?.is_empty())).await?;
        let secret = load_secret(config, is_first_start)?;
        let core = Core::new(config, store, clock, secret);
        let tokens = match auth::open_tokens(&core, config).await? {
            Ok(tokens) => tokens,
            Err(KeyError::Unreadable { .. }) => return Err(StartError::OtherSecret),
            Err(error) => return Err(Error::from(error).into()),
        };
        let hasher = Hasher::start(&config.password, config.concurrent_hashes()).map_err(Error::from)?;
        Ok(Self::new(core, hasher, tokens))
    }

    fn new(core: Core, hasher: Hasher, tokens: crate::crypto::Tokens) -> Self {
        let keys = KeyReload::new(core.clone(), tokens);
        let confirmation = Confirmation::new(core.clone(), hasher.clone());
        let profile = Profile::new(core.clone(), confirmation.clone());
        let signing_keys = SigningKeys::new(core.clone(), keys.clone());
        Self {
            registration: Registration::new(core.clone(), hasher.clone()),
            verification: Verification::new(core.clone()),
            passwords: Passwords::new(core.clone(), hasher.clone(), confirmation.clone()),
            email_change: EmailChange::new(core.clone(), confirmation),
            exports: Exports::new(core.clone(), hasher.clone()),
            users: Users::new(core.clone(), profile.clone()),
            profile,
            invitations: Invitations::new(core.clone()),
            reminders: Reminders::new(core.clone()),
            audit: Audit::new(core.clone()),
            sessions: Sessions::new(core.clone(), hasher, keys),
            outbox: Outbox::new(core.clone()),
            purge: Purge::new(core.clone(), signing_keys.clone()),
            signing_keys,
            health: Health::new(core.clone()),
            core,
        }
    }

    #[must_use]
    pub fn clock(&self) -> Clock {
        self.core.clock.clone()
    }

    /// Closes the store, once the attempts at a password have ended that are in progress.
    pub async fn close(self) {
        let left = self.core.drain(DRAIN_ATTEMPTS).await;
        if left > 0 {
            tracing::warn!(left, "attempts at a password were cut short, and count as wrong");
        }
        let store = self.core.store.clone();
        drop(self);
        store.close().await;
    }
}

/// The migrations that the store still needs; changes nothing, and makes no file.
///
/// # Errors
/// To be shown to the operator.
pub fn pending_migrations(config: &Config) -> Result<Vec<String>, StartError> {
    match Store::pending_migrations(&config.database) {
        // A store that does not exist needs all of them.
        Err(OpenError::Missing(_) | OpenError::Server { fault: ServerFault::Empty, .. }) => {
            Ok(vec!["a new database".to_owned()])
        }
        pending => Ok(pending?),
    }
}

/// Moves the store of the settings to another database, which may be left by the same move that was interrupted.
///
/// # Errors
/// To be shown to the operator.
pub async fn move_store(
    config: &Config,
    to: &Database,
    mode: MoveMode,
    clock: Clock,
    progress: impl FnMut(MoveProgress) + Send + 'static,
) -> Result<Moved, StartError> {
    let from = config.database.clone();
    if !Store::exists(&config.database) {
        return Err(OpenError::Missing(from.to_string()).into());
    }
    let secret = load_secret(config, false)?;
    let moved = StoreMove { from, to: to.clone(), secret, mode, now: clock.now() }.run(progress);
    Ok(moved.await?)
}

/// The database engine; with its version if that is known without a connection.
#[must_use]
pub fn engine(config: &Config) -> String {
    store::engine(&config.database)
}

fn load_secret(config: &Config, is_first_start: bool) -> Result<InstallationSecret, StartError> {
    if let Some(given) = config.auth.secret.reveal() {
        return Ok(InstallationSecret::given(given)?);
    }
    let folder = config.database.data_folder();
    let file = folder.join(secret_file::FILE);
    if !is_first_start && !file.exists() {
        return Err(StartError::SecretGone(file.display().to_string()));
    }
    Ok(InstallationSecret::in_folder(folder)?)
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        match error {
            Error::Internal(why) => Self::Failed(why),
            error => Self::Failed(error.in_full()),
        }
    }
}
