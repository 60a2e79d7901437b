//! Where the 32 bytes of the installation secret come from: the settings, or a file that is created at the first start.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustix::fs::Access;

use super::random;
use crate::{
    config::secret_file::{self, Exposed},
    files,
};

/// The file's name, in the folder of the database.
pub const FILE: &str = "coffeeshop.secret";

/// Startup error, shown to the operator.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{0}: the secret must be 32 bytes in base64url or hex")]
    Malformed(String),
    /// Other users can read the file.
    #[error("the installation secret is in {0}")]
    Exposed(Exposed),
    /// The file belongs to another user.
    #[error("cannot read the installation secret: {0}")]
    Denied(String),
    #[error("{0}: {1}")]
    Failed(String, io::Error),
}

/// The secret from the settings.
///
/// # Errors
/// If it is not 32 bytes in base64url or hex.
pub fn given(text: &str) -> Result<[u8; 32], SecretError> {
    parse(text.trim()).ok_or_else(|| SecretError::Malformed("auth.secret".to_owned()))
}

/// The secret in the file in this folder, which is created if it does not exist.
///
/// # Errors
/// If the file cannot be read or created, if other users can read it, or if it holds something else.
pub fn in_folder(folder: &Path) -> Result<[u8; 32], SecretError> {
    let path = folder.join(FILE);
    let at = path.display().to_string();
    let failed = |error| match files::obstacle(&path, Access::READ_OK) {
        Some(obstacle) => SecretError::Denied(obstacle),
        None => SecretError::Failed(at.clone(), error),
    };
    if !path.try_exists().map_err(failed)? {
        make(folder, &path).map_err(failed)?;
    }
    let (content, exposed) = secret_file::read(&path).map_err(failed)?;
    if let Some(exposed) = exposed {
        return Err(SecretError::Exposed(exposed));
    }
    let text = str::from_utf8(&content).ok();
    text.and_then(|text| parse(text.trim())).ok_or(SecretError::Malformed(at))
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let hex = || {
        let pairs = text
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        (text.len() == 64).then(|| pairs.collect::<Option<Vec<_>>>())?
    };
    let bytes: [u8; 32] =
        hex().or_else(|| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok())?.try_into().ok()?;
    // The same byte 32 times is a placeholder.
    bytes.iter().any(|byte| *byte != bytes[0]).then_some(bytes)
}

/// Creates the file whole and durable, or not at all; if two programs start together, the file of the first stays.
fn make(folder: &Path, path: &Path) -> io::Result<()> {
    make_by(folder, path, |file| {
        writeln!(file, "{}", URL_SAFE_NO_PAD.encode(random::bytes::<32>()))?;
        file.sync_all()
    })
}

fn make_by(
    folder: &Path,
    path: &Path,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let draft = folder.join(format!(".{FILE}.{}", URL_SAFE_NO_PAD.encode(random::bytes::<8>())));
    let mut file = files::create_new(&draft)?;
    let made = write(&mut file).and_then(|()| fs::hard_link(&draft, path));
    // Removed in any case: on a full disk each start would leave one more.
    let removed = fs::remove_file(&draft);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => removed.and_then(|()| fs::File::open(folder)?.sync_all()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_32_bytes_are_a_secret() {
        let file = tempfile::tempdir().expect("a folder");
        in_folder(file.path()).expect("made");
        let text = fs::read_to_string(file.path().join(FILE)).expect("there");
        assert!(given(text.trim()).is_ok());
        for bad in ["", "changeme", "0123456789abcdef", &"00".repeat(32), &"0g".repeat(32), &text.trim()[1..]]
        {
            assert!(given(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        in_folder(folder.path()).expect("made");
        let path = folder.path().join(FILE);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        assert!(matches!(in_folder(folder.path()), Err(SecretError::Exposed(_))));
    }

    #[test]
    fn a_second_program_keeps_the_secret_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        make(folder.path(), &path).expect("made");
        let first = fs::read(&path).expect("there");
        make(folder.path(), &path).expect("there already");
        assert_eq!(fs::read(&path).expect("there"), first);
        assert!(make(folder.path(), &folder.path().join("nowhere").join(FILE)).is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
    }

    #[test]
    fn a_full_disk_leaves_no_draft_of_a_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let full = |file: &mut fs::File| {
            file.write_all(b"half of the sec")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let made = make_by(folder.path(), &folder.path().join(FILE), full);
        assert_eq!(made.expect_err("no room").kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
