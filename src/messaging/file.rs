//! Writes mails into a folder, one `.eml` file each: for trying out, and for shops that send them some other way.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::Access;

use super::{delivery_error::DeliveryError, mail::Sender, transport::Transport};
use crate::{files, messaging::outbox::OutboxMessage};

/// Writes into a folder.
pub struct FileTransport {
    path: PathBuf,
    sender: Sender,
}

impl FileTransport {
    /// A transport that writes into the folder at `path`, which is made if need be.
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
            Err(_) => Err(failed(&"writing was cut short")),
        }
    }
}

/// Whoever looks into the folder sees whole mails alone. A second attempt at a mail takes the place of the first.
fn write(folder: &Path, name: &str, mail: &[u8]) -> io::Result<()> {
    files::make_folder(folder)?;
    let unfinished = folder.join(format!(".{name}"));
    let mut file = files::create(&unfinished)?;
    file.write_all(mail)?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}
