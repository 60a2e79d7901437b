//! An open store on PostgreSQL: its threads.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, sync::Notify, task};
use tokio_postgres::{Client, error::SqlState};

use super::{
    batch::Batch,
    calls::Isolation,
    errors,
    migrations::{self, Schema, unusable},
    server::{Opened, Server},
    workers::{Priority, Workers},
};
use crate::{
    config,
    domain::{Session, SessionId, User},
    store::{
        ServerFault,
        error::Error,
        open::{OpenError, OpenMode},
        tx::{RateLimitTx, Snapshot, Tx},
    },
};

/// How long `close` waits for the threads to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a database that can be used takes to answer at most.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// For how long an absent server is tried at a start, and the pause between two attempts.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

/// Threads for look-ups, which do not wait behind other work.
const LOOK_UP_THREADS: usize = 2;

/// Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub(in crate::store) struct Engine {
    workers: Workers,
    /// Threads of their own for what must not wait behind other work.
    look_ups: Workers,
    batch: Batch,
    enqueued: Arc<Notify>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// The migrations that a database still needs; changes nothing.
pub(in crate::store) fn pending_migrations(settings: &config::Postgres) -> Result<Vec<String>, OpenError> {
    match on_connection(&server(settings)?, migrations::inspect)? {
        Schema::Missing(_) => Err(empty(&settings.url)),
        Schema::Behind(names) => Ok(names),
        Schema::Current => Ok(Vec::new()),
    }
}

/// Runs `work` on a thread of its own: its caller may be in a runtime already.
pub(super) fn on_connection<T: Send>(
    server: &Server,
    work: impl AsyncFnOnce(&Client, &Server) -> Result<T, OpenError> + Send,
) -> Result<T, OpenError> {
    let done = thread::scope(|scope| {
        let run = || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| failed(server, &error))?;
            runtime.block_on(async {
                let client = connect(server).await?;
                work(&client, server).await
            })
        };
        scope.spawn(run).join()
    });
    done.unwrap_or_else(|_| Err(failed(server, &"the connection panicked")))
}

/// Connects to a server that may be starting.
async fn connect(server: &Server) -> Result<Client, OpenError> {
    let give_up = Instant::now() + START_TIMEOUT;
    loop {
        match server.connect().await {
            Err(ServerFault::Absent(why)) if Instant::now() + PAUSE < give_up => {
                tracing::debug!(why, "the database server is absent, it is tried again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(fault) => return Err(unusable(server, fault)),
            Ok(Opened { client, .. }) => {
                check_pooler(&client, server).await?;
                return Ok(client);
            }
        }
    }
}

/// Looks whether a second connection sees what the first one has prepared: an idle pooler gives it the same server process.
async fn check_pooler(client: &Client, server: &Server) -> Result<(), OpenError> {
    // Its name is free again once this is dropped.
    let prepared = client.prepare("SELECT 1").await.map_err(|error| match error.code() {
        // Another process has prepared one of the same name there just now.
        Some(&SqlState::DUPLICATE_PSTATEMENT) => unusable(server, ServerFault::MixedStatements),
        _ => failed(server, &errors::text(&error)),
    })?;
    let second = server.connect().await;
    drop(prepared);
    match second {
        Err(fault @ ServerFault::MixedStatements) => Err(unusable(server, fault)),
        // One that cannot be made now says nothing about a pooler.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The first migration makes the index if it can.
async fn warn_of_slow_searches(client: &Client) {
    let has_index = client.query_one("SELECT to_regclass('users_search') IS NOT NULL", &[]).await;
    if has_index.is_ok_and(|row| !row.get::<_, bool>(0)) {
        tracing::warn!(
            "searches of users are slow: the extension pg_trgm was missing when the tables were made"
        );
    }
}

fn failed(server: &Server, why: &impl ToString) -> OpenError {
    unusable(server, ServerFault::Failed(why.to_string()))
}

pub(super) fn empty(at: &impl ToString) -> OpenError {
    OpenError::Server { at: at.to_string(), fault: ServerFault::Empty }
}

pub(super) fn server(settings: &config::Postgres) -> Result<Server, OpenError> {
    Server::new(settings).map_err(|why| {
        let fault = ServerFault::Authorities(why);
        OpenError::Server { at: settings.url.to_string(), fault }
    })
}

impl Engine {
    /// Opens the database; returns the migrations that were applied, too.
    pub(in crate::store) async fn open(
        settings: &config::Postgres,
        mode: OpenMode,
    ) -> Result<(Self, Vec<String>), OpenError> {
        let server = Arc::new(server(settings)?);
        let client = connect(&server).await?;
        let migrated = match (migrations::inspect(&client, &server).await?, mode) {
            (Schema::Current, _) => Vec::new(),
            (_, OpenMode::CreateOrMigrate) => migrations::migrate(&server).await?,
            (Schema::Missing(_), OpenMode::RequireCurrent) => {
                return Err(empty(&server));
            }
            (Schema::Behind(_), OpenMode::RequireCurrent) => {
                return Err(OpenError::Older(server.to_string()));
            }
        };
        warn_of_slow_searches(&client).await;
        let enqueued = Arc::new(Notify::new());
        let start = |threads| {
            let started = Workers::start(threads, &server, &enqueued);
            started.map_err(|error| failed(&server, &error))
        };
        let (workers, mut threads) = start(usize::from(settings.connections) - LOOK_UP_THREADS)?;
        let (look_ups, look_up_threads) = start(LOOK_UP_THREADS)?;
        threads.extend(look_up_threads);
        let batch = Batch::on(look_ups.clone());
        Ok((Self { workers, look_ups, batch, enqueued, threads: Arc::new(Mutex::new(threads)) }, migrated))
    }

    /// Waits until the threads have ended, which they do once the last clone is dropped.
    pub(in crate::store) async fn close(self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        drop(self);
        let ended = task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        if tokio::time::timeout(CLOSE_TIMEOUT, ended).await.is_err() {
            tracing::warn!("the database is still in use; it closes with the process");
        }
    }

    /// Returns when a commit of this process has woken the outbox worker since the last call.
    pub(in crate::store) async fn enqueued(&self) {
        self.enqueued.notified().await;
    }

    /// # Errors
    /// If no answer comes within `PROBE_TIMEOUT`.
    pub(in crate::store) async fn probe(&self) -> Result<(), Error> {
        let probe = |tx: &Tx<'_>| tx.probe_schema();
        let probed = self.look_ups.run(probe, Isolation::OneStatement, Priority::Next);
        let probed = tokio::time::timeout(PROBE_TIMEOUT, probed).await;
        probed.unwrap_or_else(|_| Err(Error::Unavailable("it does not answer in time".to_owned())))
    }

    pub(in crate::store) async fn session_with_user(
        &self,
        id: SessionId,
    ) -> Result<Option<(Session, User)>, Error> {
        self.batch.session_with_user(id).await
    }

    pub(in crate::store) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        self.workers.run(|tx: &Tx<'_>| work(tx), Isolation::Snapshot, Priority::Next).await
    }

    pub(in crate::store) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        self.workers.run(work, Isolation::Serializable, Priority::Next).await
    }

    pub(in crate::store) async fn write_rate_limits<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&RateLimitTx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        let work = move |tx: &Tx<'_>| work(&RateLimitTx(tx));
        self.workers.run(work, Isolation::ReadCommitted, Priority::Next).await
    }

    pub(in crate::store) async fn write_charged<T, E, C, F, R, S>(
        &self,
        charge: Option<C>,
        work: F,
        settle: R,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        C: FnOnce(&RateLimitTx<'_>) -> Result<(), E> + Clone + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
        R: FnOnce(&Result<T, E>) -> Option<S> + Clone + Send + 'static,
        S: FnOnce(&RateLimitTx<'_>) -> Result<(), E> + Clone + Send + 'static,
    {
        if let Some(charge) = charge {
            self.write_rate_limits(charge).await?;
        }
        let result = self.write(work).await;
        if let Some(settle) = settle(&result)
            && self.write_rate_limits(settle).await.is_err()
        {
            // What was written is committed. Time refills the tokens that stay used.
            tracing::warn!("a rate limit could not be settled");
        }
        result
    }

    pub(in crate::store) async fn write_background<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Clone + Send + 'static,
    {
        self.workers.run(work, Isolation::Serializable, Priority::Background).await
    }
}
