//! Disk space held back for the clean-up: on a full disk even deleting takes space, for the log of the deletion.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::files;

/// Twice what the log holds before it is written back.
const BYTES: u64 = 8 * 1024 * 1024;

/// The disk reserve beside a store's file.
#[derive(Debug)]
pub(in crate::store) struct DiskReserve(PathBuf);

impl DiskReserve {
    /// The disk reserve of the store at `path`.
    pub(in crate::store) fn beside(path: &Path) -> Self {
        Self(path.with_extension("reserve"))
    }

    /// Takes the space, if it is not taken already.
    pub(in crate::store) fn allocate(&self) -> io::Result<()> {
        // Versions before 0.1.0 kept it under this name.
        let _ = fs::remove_file(self.0.with_extension("ballast"));
        if fs::metadata(&self.0).is_ok_and(|file| file.len() == BYTES) {
            return Ok(());
        }
        let file = files::create(&self.0)?;
        // A sparse file would reserve nothing.
        let taken = fallocate(&file, FallocateFlags::empty(), 0, BYTES).map_err(io::Error::from);
        taken.inspect_err(|_| {
            let _ = fs::remove_file(&self.0);
        })
    }

    /// Gives the space back; answers whether there was any.
    pub(in crate::store) fn release(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }
}
