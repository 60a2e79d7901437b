//! Disks for fault injection, each mounted for one test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::say;

/// A file system on a folder, unmounted when this is dropped.
pub struct Disk {
    folder: PathBuf,
    image: Option<PathBuf>,
}

impl Disk {
    /// An ext4 in a file; none, with a word, where a file cannot be mounted.
    pub fn ext4(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let image = folder.with_extension("img");
        fs::File::create(&image).unwrap().set_len(96 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0", image.to_str().unwrap()]).unwrap();
        let disk = Self { folder: folder.to_owned(), image: Some(image) };
        match disk.mount() {
            Ok(()) => Some(disk),
            Err(why) => {
                say(format_args!("skipped: no loop devices here: {why}"));
                None
            }
        }
    }

    /// A small disk in memory.
    pub fn in_memory(folder: &Path, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let size = format!("size={megabytes}m");
        match run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", folder.to_str().unwrap()]) {
            Ok(()) => Some(Self { folder: folder.to_owned(), image: None }),
            Err(why) => {
                say(format_args!("skipped: nothing can be mounted here: {why}"));
                None
            }
        }
    }

    /// Mounts the file, again.
    pub fn mount(&self) -> Result<(), String> {
        let image = self.image.as_ref().unwrap().to_str().unwrap();
        run("mount", &["-o", "loop,errors=remount-ro", image, self.folder.to_str().unwrap()])
    }

    /// Takes it away. Something may look at it for a moment after a process that used it has ended.
    pub fn unmount(&self) {
        crate::shop::wait_for("a disk that is not in use", || {
            run("umount", &[self.folder.to_str().unwrap()]).ok()
        });
    }

    /// What a machine does that gets its power back. While anything else still sees the old mount, a new one is as dead.
    pub fn come_back(&self) {
        let probe = self.folder.join("probe");
        crate::shop::wait_for("a disk that is alive", || {
            self.unmount();
            self.mount().ok()?;
            fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).ok()
        });
    }

    /// Cuts the power: what was not flushed to the disk never will be. `EXT4_IOC_SHUTDOWN`, `NOLOGFLUSH`.
    pub fn cut_power(&self) {
        let cut =
            "open(F, '<', $ARGV[0]) or die $!; my $how = pack('L', 2); ioctl(F, 0x8004587d, $how) or die $!";
        run("perl", &["-e", cut, self.folder.to_str().unwrap()]).unwrap();
    }

    /// Has the file system find an error, upon which nothing can be written any more; false where it cannot be told to.
    pub fn become_read_only(&self) -> bool {
        let source = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&self.folder).output().unwrap();
        let device = String::from_utf8(source.stdout).unwrap();
        let Some(name) = device.trim().strip_prefix("/dev/") else { return false };
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1").is_ok()
    }

    pub fn remount(&self, how: &str) -> Result<(), String> {
        run("mount", &["-o", &format!("remount,{how}"), self.folder.to_str().unwrap()])
    }

    /// Leaves no room at all; answers the file to delete for some.
    pub fn fill(&self) -> PathBuf {
        let filler = self.folder.join("filler");
        let _ = run("dd", &["if=/dev/zero", &format!("of={}", filler.display()), "bs=4k"]);
        filler
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run("umount", &["-l", self.folder.to_str().unwrap()]);
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let ran = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned())
}
