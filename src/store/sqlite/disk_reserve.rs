//! Disk space reserved for the purge: on a full disk even deleting takes space, for the log of the deletion.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::files;

/// Twice the size of the log at a checkpoint.
const BYTES: u64 = 8 * 1024 * 1024;

/// A file beside that of the store.
#[derive(Debug)]
pub(super) struct DiskReserve(PathBuf);

impl DiskReserve {
    pub(super) fn beside(store: &Path) -> Self {
        Self(store.with_extension("reserve"))
    }

    /// Allocates the space, unless it is allocated already.
    pub(super) fn allocate(&self) -> io::Result<()> {
        // Versions before 0.1.0 kept it under this name.
        let _ = fs::remove_file(self.0.with_extension("ballast"));
        if fs::metadata(&self.0).is_ok_and(|file| file.len() == BYTES) {
            return Ok(());
        }
        let file = files::create(&self.0)?;
        // A sparse file would reserve nothing.
        let allocated = fallocate(&file, FallocateFlags::empty(), 0, BYTES).map_err(io::Error::from);
        allocated.inspect_err(|_| {
            let _ = fs::remove_file(&self.0);
        })
    }

    /// Releases the space; returns whether it was allocated.
    pub(super) fn release(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }
}
