//! Creates files and folders that only their owner can access; what root creates belongs to the owner of its folder.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown},
    },
    path::Path,
};

use rustix::{
    fs::{Access, AtFlags, CWD, OFlags, accessat},
    io::Errno,
    process::geteuid,
};

/// What the operator can do about a denied access.
pub const OWNER_HINT: &str =
    "give the folder and its files to the user that runs coffeeshop, with chown -R, or run it as their owner";

/// The folder of a file; `.` if the path names none.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Creates a folder and its missing parents.
///
/// # Errors
/// Those of the operating system; an existing folder is none.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    make_folder(folder_of(path))?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        created => created?,
    }
    if !geteuid().is_root() {
        return Ok(());
    }
    let flags = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed();
    change_owner(&OpenOptions::new().read(true).custom_flags(flags).open(path)?, path)
}

/// Creates a file for writing.
///
/// # Errors
/// Those of the operating system, `AlreadyExists` among them.
pub fn create_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
    change_owner(&file, path)?;
    Ok(file)
}

/// Creates or truncates a file for writing.
///
/// # Errors
/// Those of the operating system.
pub fn create(path: &Path) -> io::Result<File> {
    match create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().write(true).truncate(true).open(path)
        }
        created => created,
    }
}

/// Changes the owner of a new file or folder to that of its folder, if root created it: a server that runs as another user could
/// not open it. Takes the open file, since that user could replace the name by a link to any file.
fn change_owner(created: impl AsFd, path: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let folder = fs::metadata(folder_of(path))?;
    if folder.uid() == 0 {
        return Ok(());
    }
    match fchown(created, Some(folder.uid()), Some(folder.gid())) {
        // Root without that capability, as in a container: it remains root's, and a server that cannot open it reports that.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// Whether this process runs as root, and new files in this folder belong to root.
pub fn are_for_root(folder: &Path) -> bool {
    geteuid().is_root() && fs::metadata(folder).is_ok_and(|folder| folder.uid() == 0)
}

/// A sentence about the folder on the path, or the file itself, that the user of this process may not access.
pub fn obstacle(path: &Path, wanted: Access) -> Option<String> {
    let folder = folder_of(path);
    let mut folders: Vec<_> = folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()).collect();
    folders.reverse();
    let denied_folder = folders.into_iter().find_map(|folder| denied(folder, Access::EXEC_OK));
    denied_folder.or_else(|| denied(path, wanted))
}

/// A sentence about the owner and the mode of a file or folder, if it denies this access.
fn denied(path: &Path, wanted: Access) -> Option<String> {
    if accessat(CWD, path, wanted, AtFlags::EACCESS) != Err(Errno::ACCESS) {
        return None;
    }
    let found = fs::metadata(path).ok()?;
    Some(format!(
        "{} belongs to uid {} (mode {:04o}), and coffeeshop runs as uid {}",
        path.display(),
        found.uid(),
        found.mode() & 0o7777,
        geteuid().as_raw(),
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    /// A folder of another user, which only root can create.
    fn of_another() -> Option<tempfile::TempDir> {
        let folder = tempfile::tempdir().expect("a folder");
        geteuid().is_root().then(|| chown(folder.path(), Some(10_001), Some(10_002)).expect("given"))?;
        Some(folder)
    }

    fn owner(path: &Path) -> (u32, u32, u32) {
        let found = fs::metadata(path).expect("there");
        (found.uid(), found.gid(), found.mode() & 0o777)
    }

    #[test]
    fn what_root_creates_belongs_to_the_owner_of_its_folder() {
        let Some(folder) = of_another() else { return };
        let inner = folder.path().join("a/b");
        make_folder(&inner).expect("made");
        make_folder(&inner).expect("there");
        assert_eq!(owner(&folder.path().join("a")), (10_001, 10_002, 0o700));
        assert_eq!(owner(&inner), (10_001, 10_002, 0o700));
        create_new(&inner.join("one")).expect("made");
        create(&inner.join("two")).expect("made");
        create(&inner.join("two")).expect("there");
        for name in ["one", "two"] {
            assert_eq!(owner(&inner.join(name)), (10_001, 10_002, 0o600));
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        std::os::unix::fs::symlink(&target, folder.path().join("link")).expect("linked");
        let made = create_new(&folder.path().join("link"));
        assert_eq!(made.expect_err("a link").kind(), io::ErrorKind::AlreadyExists);
        assert!(!target.exists());
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("file"), "").expect("written");
        make_folder(&folder.path().join("file/folder")).expect_err("a file");
        make_folder(&folder.path().join("file")).expect_err("a file");
    }

    #[test]
    fn the_owner_of_a_folder_may_access_and_create_its_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        let all = Access::READ_OK | Access::WRITE_OK;
        assert_eq!(obstacle(&file, all), None);
        fs::write(&file, "").expect("written");
        assert_eq!(obstacle(&file, all), None);
        if !geteuid().is_root() {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).expect("set");
            assert!(obstacle(&file, all).is_some_and(|why| why.contains("(mode 0400)")));
        }
    }
}
