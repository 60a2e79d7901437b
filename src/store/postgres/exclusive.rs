//! A database whose tables no other process uses meanwhile: one connection, without time limits.

use std::time::{Duration, Instant};

use super::{
    connection::Connection,
    engine::{empty, on_connection, server},
    migrations::{self, Schema, unusable},
};
use crate::{
    config,
    store::{error::Error, open::OpenError, tx::Tx},
};

/// How long all of it may take.
const LONGEST: Duration = Duration::from_hours(24);

/// All rows are read at one moment, which is that of the first one, after the tables were locked.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";

pub(in crate::store) struct Exclusive(Box<Connection>);

impl Exclusive {
    /// Opens a database whose schema is up to date. Nothing is locked yet.
    pub(in crate::store) fn open(settings: &config::Postgres) -> Result<Self, OpenError> {
        let server = server(settings)?;
        match on_connection(&server, migrations::inspect_schema)? {
            Schema::Current => {}
            Schema::Missing(_) => return Err(empty(&server)),
            Schema::Behind(_) => return Err(OpenError::Older(server.to_string())),
        }
        let connection = Connection::connect(&server.without_timeouts(), Instant::now() + LONGEST);
        connection.map(|connection| Self(Box::new(connection))).map_err(|error| unusable(&server, error))
    }

    pub(in crate::store) fn begin(&self) -> Tx<'_> {
        self.0.begin(Some(BEGIN));
        Tx::on_postgres(&self.0)
    }

    /// # Errors
    /// `OutcomeUnknown` if the connection breaks; after any other error nothing was changed.
    pub(in crate::store) fn commit(&self) -> Result<(), Error> {
        match self.0.failure() {
            None => self.0.commit(),
            Some(error) => {
                self.0.roll_back();
                Err(error)
            }
        }
    }

    pub(in crate::store) fn roll_back(&self) {
        self.0.roll_back();
    }

    pub(in crate::store) fn close(self) {
        self.0.close();
    }
}
