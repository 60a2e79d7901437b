//! A connection to PostgreSQL that one thread owns and drives.
//!
//! The thread waits for the server in a runtime of its own: a statement takes no hop to another thread.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt, TryStreamExt, future::join};
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, yield_now},
    time::{timeout, timeout_at},
};
use tokio_postgres::{Client, Row, RowStream};

use super::{
    errors::{Condition, Failure},
    server::{Opened, Server},
    statements::{Statements, with_dollars},
    values::Parameter,
};
use crate::store::{ServerFault, error::Error, sql::Value};

/// How long a connection may take to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// After how long without a call the connection may have been closed unnoticed.
const IDLE: Duration = Duration::from_millis(100);

pub(in crate::store) struct Connection {
    client: Client,
    statements: Statements,
    transaction: Cell<Transaction>,
    /// The error of the first statement of the transaction that failed. PostgreSQL answers a COMMIT after it like any other,
    /// and rolls back.
    failure: RefCell<Option<Error>>,
    lacks_table: Cell<bool>,
    is_lost: Cell<bool>,
    deadline: Cell<Instant>,
    lacks_standby: Arc<AtomicBool>,
    task: JoinHandle<()>,
    runtime: Runtime,
}

#[derive(Clone, Copy, Debug)]
enum Transaction {
    /// Each statement is a transaction of its own.
    None,
    /// To begin with this statement, which travels with the first one of the transaction.
    Pending(&'static str),
    Begun,
}

impl Connection {
    pub(super) fn connect(server: &Server, deadline: Instant) -> Result<Self, ServerFault> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ServerFault::Failed(error.to_string()))?;
        let connecting = async { timeout_at(deadline.into(), server.connect()).await };
        let connected = runtime.block_on(connecting);
        let Opened { client, task, lacks_standby } =
            connected.map_err(|_| ServerFault::Absent("it does not answer in time".to_owned()))??;
        Ok(Self {
            client,
            statements: Statements::default(),
            transaction: Cell::new(Transaction::None),
            failure: RefCell::default(),
            lacks_table: Cell::default(),
            is_lost: Cell::default(),
            deadline: Cell::new(deadline),
            lacks_standby,
            task,
            runtime,
        })
    }

    /// Says goodbye to the server, which otherwise logs a broken connection.
    pub(super) fn close(self) {
        let Self { client, statements, task, runtime, .. } = self;
        drop((statements, client));
        let _ = runtime.block_on(async { timeout(CLOSE_TIMEOUT, task).await });
    }

    /// Prepares for a call that must be answered by `deadline`; returns whether the connection is still open, as far as is known
    /// here.
    pub(super) fn resume(&self, deadline: Instant) -> bool {
        if self.deadline.replace(deadline) + IDLE < deadline {
            // Nothing was read from the socket meanwhile: the first turn finds what has come, the second reads it.
            self.runtime.block_on(async {
                for _ in 0..3 {
                    yield_now().await;
                }
            });
        }
        // One that was left inside a transaction would go on in it.
        !self.is_lost() && !matches!(self.transaction.get(), Transaction::Begun)
    }

    /// Whether the server still is what coffeeshop relies on, and its clock right.
    pub(super) fn check(&self, server: &Server) -> Result<(), ServerFault> {
        let deadline = self.deadline.get().into();
        let checked = self.runtime.block_on(async { timeout_at(deadline, server.check(&self.client)).await });
        checked.unwrap_or_else(|_| Err(ServerFault::Absent("it does not answer in time".to_owned())))
    }

    /// Begins a transaction by `begin`, which is sent with its first statement; without it each statement is one.
    pub(super) fn begin(&self, begin: Option<&'static str>) {
        self.failure.take();
        self.transaction.set(begin.map_or(Transaction::None, Transaction::Pending));
    }

    /// Commits a transaction of which no statement has failed.
    ///
    /// # Errors
    /// `OutcomeUnknown` if the connection breaks, or a standby that has to confirm it did not; after any other error nothing
    /// was changed.
    pub(super) fn commit(&self) -> Result<(), Error> {
        let Transaction::Begun = self.transaction.replace(Transaction::None) else { return Ok(()) };
        self.wait(self.client.batch_execute("COMMIT")).map_err(|failure| match self.note(&failure) {
            (error, Condition::Lost) => Error::OutcomeUnknown(error.to_string()),
            (error, _) => error,
        })?;
        if self.lacks_standby.swap(false, Ordering::Relaxed) {
            return Err(Error::OutcomeUnknown("its wait for a standby was cancelled".to_owned()));
        }
        Ok(())
    }

    /// Ends a transaction that has written nothing, without waiting for the server.
    pub(super) fn end_read(&self) {
        if let Transaction::Begun = self.transaction.replace(Transaction::None) {
            drop(self.client.batch_execute("COMMIT").now_or_never());
            self.runtime.block_on(yield_now());
        }
    }

    pub(super) fn roll_back(&self) {
        if let Transaction::Begun = self.transaction.replace(Transaction::None)
            && !self.is_lost.get()
            && self.wait(self.client.batch_execute("ROLLBACK")).is_err()
        {
            self.is_lost.set(true);
        }
    }

    /// The error of the first statement of the transaction that failed.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.borrow().clone()
    }

    pub(super) fn is_overdue(&self) -> bool {
        Instant::now() >= self.deadline.get()
    }

    /// Where the store was moved to, if a statement has failed since a table is gone.
    pub(super) fn moved_to(&self) -> Option<String> {
        if !self.lacks_table.take() {
            return None;
        }
        let found = self.query("SELECT moved_to FROM store_info", &[]).ok()?;
        found.first()?.try_get(0).ok().flatten()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.get() || self.client.is_closed()
    }

    pub(in crate::store) fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        self.run(sql, values).map(|(rows, _)| rows)
    }

    /// Runs a statement; returns the number of rows changed.
    pub(in crate::store) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, Error> {
        self.run(sql, values).map(|(_, changed)| changed)
    }

    fn run(&self, sql: &str, values: &[Value<'_>]) -> Result<(Vec<Row>, usize), Error> {
        tracing::trace!(sql, "statement"); // without its values
        let ran = match self.transaction.get() {
            Transaction::Pending(begin) => {
                self.transaction.set(Transaction::Begun);
                self.wait(async {
                    let both = join(self.client.batch_execute(begin), self.send(sql, values));
                    let (started, ran) = both.await;
                    started.and(ran)
                })
            }
            Transaction::None | Transaction::Begun => self.wait(self.send(sql, values)),
        };
        ran.map_err(|failure| {
            let (error, _) = self.note(&failure);
            match error {
                Error::Defect(why) => Error::Defect(format!("{why}: {sql}")),
                error => error,
            }
        })
    }

    async fn send(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<(Vec<Row>, usize), tokio_postgres::Error> {
        let parameters = values.iter().copied().map(Parameter);
        let mut rows = Box::pin(if is_planned_for_its_values(sql) {
            let parameters: Vec<_> = parameters.map(|value| (value.own_type(), value)).collect();
            let typed = parameters.into_iter().map(|(kind, value)| (value, kind));
            self.client.query_typed_raw(&with_dollars(sql), typed).await?
        } else {
            let statement = self.statements.prepared(&self.client, sql).await?;
            self.client.query_raw(&statement, parameters).await?
        });
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            all.push(row);
        }
        let changed = RowStream::rows_affected(&rows).unwrap_or(0);
        Ok((all, usize::try_from(changed).unwrap_or(usize::MAX)))
    }

    /// Waits for the server, until the deadline.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Failure> {
        let deadline = self.deadline.get().into();
        let answer = self.runtime.block_on(async { timeout_at(deadline, answer).await });
        answer.map_err(|_| Failure::Deadline)?.map_err(Failure::from)
    }

    /// Remembers a failure, and what it means for this connection.
    fn note(&self, failure: &Failure) -> (Error, Condition) {
        let (error, condition) = (failure.error(), failure.condition());
        match condition {
            Condition::Usable => {}
            Condition::NoTable => self.lacks_table.set(true),
            Condition::Stale => self.statements.forget(),
            Condition::Lost => self.is_lost.set(true),
        }
        self.failure.borrow_mut().get_or_insert_with(|| error.clone());
        (error, condition)
    }
}

/// Whether the plan of a statement depends on its values. A search by trigrams takes 100 times as long with a plan for any text,
/// so it is not prepared.
fn is_planned_for_its_values(sql: &str) -> bool {
    sql.contains(" LIKE ")
}
