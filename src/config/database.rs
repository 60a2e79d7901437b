//! The section `database`: which store it is, and its data folder.

use std::{
    fmt, io,
    path::{self, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{PostgresUrl, Secret, postgres_url};
use crate::files::folder_of;

/// The name of the SQLite file in the data folder.
const FILE: &str = "coffeeshop.db";

/// The store and its data folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The data folder, unless `path` is set.
    pub folder: PathBuf,
    /// The SQLite file if it has another name; its folder is then the data folder. Empty: `coffeeshop.db` in `folder`.
    pub path: PathBuf,
    /// PostgreSQL; empty: SQLite. `folder` and `path` are then ignored: the container image sets one.
    #[serde(with = "postgres_url")]
    pub url: Option<PostgresUrl>,
    /// Unless `url` has it.
    pub password: Secret,
    pub tls: Tls,
    /// Certificates in PEM of the authorities to trust instead of the public ones; empty: these.
    pub ca: PathBuf,
    /// Connections of one process.
    pub connections: u16,
}

/// How a PostgreSQL server proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// By a certificate of a trusted authority for its host name.
    Verify,
    /// Not at all, and nothing is encrypted: for a server on this machine only.
    Off,
}

/// The database engine, and where the store is.
#[derive(Clone, Debug, PartialEq)]
pub enum Engine {
    /// The file.
    Sqlite(PathBuf),
    Postgres(Postgres),
}

/// How to reach a PostgreSQL database.
#[derive(Clone, Debug, PartialEq)]
pub struct Postgres {
    pub url: PostgresUrl,
    /// From `database.password`, or from the URL.
    pub password: Secret,
    pub tls: Tls,
    /// None: the public authorities.
    pub ca: Option<PathBuf>,
    pub connections: u16,
}

impl Database {
    /// The store in this SQLite file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    #[must_use]
    pub fn engine(&self) -> Engine {
        let Some(url) = &self.url else { return Engine::Sqlite(self.file()) };
        let own = self.password.reveal().map(|_| &self.password);
        Engine::Postgres(Postgres {
            password: own.unwrap_or(url.password()).clone(),
            url: url.clone(),
            tls: self.tls,
            ca: Some(&self.ca).filter(|ca| !ca.as_os_str().is_empty()).cloned(),
            connections: self.connections,
        })
    }

    /// The SQLite file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        if self.has_path() { self.path.clone() } else { self.folder.join(FILE) }
    }

    /// Where the installation secret and all other files of this installation are.
    #[must_use]
    pub fn data_folder(&self) -> &Path {
        if self.has_path() { folder_of(&self.path) } else { &self.folder }
    }

    /// Whether `path` is set, so that `folder` is ignored.
    #[must_use]
    pub fn has_path(&self) -> bool {
        !self.path.as_os_str().is_empty()
    }

    /// The same store, independent of the working directory.
    ///
    /// # Errors
    /// If there is no working directory.
    pub fn absolute(&self) -> io::Result<Self> {
        if self.url.is_some() {
            return Ok(self.clone());
        }
        let path = if self.has_path() { path::absolute(&self.path)? } else { PathBuf::new() };
        Ok(Self { folder: path::absolute(&self.folder)?, path, ..self.clone() })
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("data"),
            path: PathBuf::new(),
            url: None,
            password: Secret::default(),
            tls: Tls::Verify,
            ca: PathBuf::new(),
            connections: 16,
        }
    }
}

/// As logs and commands name the store.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url {
            Some(url) => url.fmt(f),
            None => self.file().display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_takes_precedence_over_the_folder() {
        for (folder, path, file, data_folder) in [
            ("data", "", "data/coffeeshop.db", "data"),
            ("/data", "", "/data/coffeeshop.db", "/data"),
            ("/data", "/srv/shop.db", "/srv/shop.db", "/srv"),
            ("/data", "shop.db", "shop.db", "."),
            ("/data", "a/../shop.db", "a/../shop.db", "a/.."),
        ] {
            let database = Database { folder: folder.into(), path: path.into(), ..Database::default() };
            assert_eq!(database.file(), Path::new(file));
            assert_eq!(database.data_folder(), Path::new(data_folder));
            assert_eq!(database.to_string(), file);
        }
    }

    #[test]
    fn an_absolute_store_is_the_same_one() {
        for (folder, path) in [("data", ""), ("data", "shop.db"), ("/data", "/srv/shop.db")] {
            let database = Database { folder: folder.into(), path: path.into(), ..Database::default() };
            let absolute = database.absolute().expect("a working directory");
            assert_eq!(absolute.has_path(), database.has_path());
            assert_eq!(absolute.file(), path::absolute(database.file()).expect("a working directory"));
            assert!(absolute.data_folder().is_absolute() && absolute.folder.is_absolute());
        }
    }
}
