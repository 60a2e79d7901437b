//! The file transport: writes each mail as an `.eml` file into a folder.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::Access;

use super::{delivery_error::DeliveryError, mail::Sender, outbox::OutboxMessage, transport::Transport};
use crate::files;

pub struct FileTransport {
    path: PathBuf,
    sender: Sender,
}

impl FileTransport {
    /// The folder is created with the first mail.
    pub const fn new(path: PathBuf, sender: Sender) -> Self {
        Self { path, sender }
    }
}

impl Transport for FileTransport {
    async fn send(&self, message: &OutboxMessage) -> Result<(), DeliveryError> {
        let mail = self.sender.compose(message).map_err(|reason| DeliveryError::rejected(reason, None))?;
        let (folder, name) = (self.path.clone(), format!("{}.eml", message.id.0));
        let failed =
            |why: &dyn std::fmt::Display| DeliveryError::unreachable(format!("messages.folder: {why}"));
        match tokio::task::spawn_blocking(move || write(&folder, &name, &mail.bytes)).await {
            Ok(written) => written.map_err(|e| match files::obstacle(&self.path, Access::WRITE_OK) {
                Some(obstacle) => failed(&obstacle),
                None => failed(&e),
            }),
            Err(_) => Err(failed(&"writing was interrupted")),
        }
    }
}

/// Renames the complete file, so that readers of the folder see no incomplete mail. A second attempt replaces the first file.
fn write(folder: &Path, name: &str, mail: &[u8]) -> io::Result<()> {
    files::make_folder(folder)?;
    let incomplete = folder.join(format!(".{name}"));
    let mut file = files::create(&incomplete)?;
    file.write_all(mail)?;
    file.sync_all()?;
    fs::rename(&incomplete, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}
