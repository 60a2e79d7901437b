//! Writes mails into a folder, one `.eml` file each: for trying out, and for shops that send them some other way.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{Transport, mail::Sender};
use crate::accounts::{Outgoing, Setback};

/// Writes into a folder.
pub struct Folder {
    path: PathBuf,
    sender: Sender,
}

impl Folder {
    /// A transport that writes into the folder at `path`, which is made if need be.
    pub const fn new(path: PathBuf, sender: Sender) -> Self {
        Self { path, sender }
    }
}

impl Transport for Folder {
    async fn send(&self, outgoing: &Outgoing) -> Result<(), Setback> {
        let mail = self.sender.compose(outgoing).map_err(Setback::refusal)?;
        let (folder, name) = (self.path.clone(), format!("{}.eml", outgoing.id.0));
        let written = tokio::task::spawn_blocking(move || write(&folder, &name, &mail.bytes)).await;
        let failed = |e: &dyn std::fmt::Display| Setback::silence(format!("messages.folder: {e}"));
        written.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
    }
}

/// Whoever looks into the folder sees whole mails alone. A second attempt at a mail takes the place of the first.
fn write(folder: &Path, name: &str, mail: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = folder.join(format!(".{name}"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(mail)?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}
