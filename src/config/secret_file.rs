//! Files with a secret: whether other users of the machine can read them.

use std::{
    fmt,
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

/// A file with a secret that other users of this machine can read or change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    path: PathBuf,
    mode: u32,
    /// The uid of this process, if the file belongs to another user.
    other_than: Option<u32>,
}

/// Reads a file, and returns whether it is exposed.
///
/// # Errors
/// Those of the operating system.
pub fn read(path: &Path) -> io::Result<(Vec<u8>, Option<Exposed>)> {
    let mut file = File::open(path)?;
    let exposed = Exposed::find(path, &file.metadata()?, geteuid().as_raw());
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok((content, exposed))
}

impl Exposed {
    /// A file of this user must be for its owner alone. One of another user may be readable for a group, since this process
    /// cannot read it otherwise: Kubernetes mounts secrets for the group of a pod, and so does systemd with credentials. Only
    /// files can be exposed, not pipes.
    fn find(path: &Path, file: &Metadata, us: u32) -> Option<Self> {
        let other_than = (file.uid() != us).then_some(us);
        let too_much = if other_than.is_some() { 0o037 } else { 0o077 };
        let is_exposed = file.is_file() && file.mode() & too_much != 0;
        is_exposed.then(|| Self { path: path.to_owned(), mode: file.mode() & 0o777, other_than })
    }
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, mode, other_than } = self;
        let path = path.display();
        write!(
            f,
            "{path}: other users of this machine can read it (mode {mode:04o}); take that right away: "
        )?;
        match other_than {
            // Root can do that with every file.
            None | Some(0) => write!(f, "chmod 600 {path}"),
            Some(us) => {
                write!(f, "chown {us} {path} && chmod 400 {path}; of a mount, set its mode to 0440 or less")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_file_is_exposed_by_its_mode_and_owner() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let owner = file.as_file().metadata().expect("there").uid();
        for (mode, ours, theirs) in [
            (0o600, false, false),
            (0o400, false, false),
            (0o440, true, false),
            (0o640, true, false),
            (0o460, true, true),
            (0o644, true, true),
            (0o444, true, true),
            (0o604, true, true),
            (0o602, true, true),
        ] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("set");
            let file =
                |us| Exposed::find(Path::new("x"), &file.as_file().metadata().expect("there"), us).is_some();
            assert_eq!((file(owner), file(owner + 1)), (ours, theirs), "{mode:o}");
        }
    }

    #[test]
    fn what_is_exposed_says_what_to_type() {
        let said = |other_than| Exposed { path: "/run/secret".into(), mode: 0o644, other_than }.to_string();
        assert_eq!(
            said(None),
            "/run/secret: other users of this machine can read it (mode 0644); take that right away: \
             chmod 600 /run/secret"
        );
        assert_eq!(
            said(Some(10001)),
            "/run/secret: other users of this machine can read it (mode 0644); take that right away: \
             chown 10001 /run/secret && chmod 400 /run/secret; of a mount, set its mode to 0440 or less"
        );
    }

    #[test]
    fn a_pipe_is_not_exposed() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        let reader = File::from(std::os::fd::OwnedFd::from(reader));
        assert_eq!(Exposed::find(Path::new("x"), &reader.metadata().expect("there"), 1), None);
    }
}
