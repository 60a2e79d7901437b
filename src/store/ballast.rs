//! A file that is kept to be thrown away: on a full disk even deleting takes space, for the log of the deletion.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::files;

/// Twice what the log holds before it is written back.
const BYTES: u64 = 8 * 1024 * 1024;

/// The ballast beside a store's file.
#[derive(Debug)]
pub(super) struct Ballast(PathBuf);

impl Ballast {
    /// The ballast of the store at `path`.
    pub(super) fn beside(path: &Path) -> Self {
        Self(path.with_extension("ballast"))
    }

    /// Takes the space, if it is not taken already.
    pub(super) fn hold(&self) -> io::Result<()> {
        if fs::metadata(&self.0).is_ok_and(|file| file.len() == BYTES) {
            return Ok(());
        }
        let file = files::create(&self.0)?;
        // A file of holes would be no ballast.
        let taken = fallocate(&file, FallocateFlags::empty(), 0, BYTES).map_err(io::Error::from);
        taken.inspect_err(|_| {
            let _ = fs::remove_file(&self.0);
        })
    }

    /// Gives the space back; answers whether there was any.
    pub(super) fn throw_away(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }
}
