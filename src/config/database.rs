//! The section `database`: which store it is, and its data folder.

use std::{
    fmt, io,
    path::{self, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

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
}

impl Database {
    /// The store in this SQLite file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
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
        let path = if self.has_path() { path::absolute(&self.path)? } else { PathBuf::new() };
        Ok(Self { folder: path::absolute(&self.folder)?, path })
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { folder: PathBuf::from("data"), path: PathBuf::new() }
    }
}

/// As logs and commands name the store.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file().display().fmt(f)
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
            let database = Database { folder: folder.into(), path: path.into() };
            assert_eq!(database.file(), Path::new(file));
            assert_eq!(database.data_folder(), Path::new(data_folder));
            assert_eq!(database.to_string(), file);
        }
    }

    #[test]
    fn an_absolute_store_is_the_same_one() {
        for (folder, path) in [("data", ""), ("data", "shop.db"), ("/data", "/srv/shop.db")] {
            let database = Database { folder: folder.into(), path: path.into() };
            let absolute = database.absolute().expect("a working directory");
            assert_eq!(absolute.has_path(), database.has_path());
            assert_eq!(absolute.file(), path::absolute(database.file()).expect("a working directory"));
            assert!(absolute.data_folder().is_absolute() && absolute.folder.is_absolute());
        }
    }
}
