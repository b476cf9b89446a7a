//! A small file system over a world's home folder, taken away at the end.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use super::World;

/// A mounted tmpfs.
pub struct Volume(PathBuf);

impl Volume {
    /// Covers the home folder, with the configuration and the passphrase made anew in it.
    pub fn over(world: &World) -> Self {
        let home = world.home.path();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs"]).arg(home);
        let why = match mount.output() {
            Ok(output) if output.status.success() => String::new(),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            why, "",
            "this test mounts a tmpfs.\nhint: run it as root; in a container, with CAP_SYS_ADMIN"
        );
        let volume = Self(home.to_owned());
        world.write("passphrase", super::PASSPHRASE);
        world.configure("");
        volume
    }

    /// Mounts it anew, `ro` or `rw`.
    pub fn remount(&self, option: &str) {
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &format!("remount,{option}")]).arg(&self.0).status();
        assert!(status.unwrap().success(), "remount,{option}");
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        self.fill_but(0);
    }

    /// Fills it, and leaves so many bytes, rounded up to whole pages.
    pub fn fill_but(&self, room: u64) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[7; 512]) {
                break error;
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
        let length = file.metadata().unwrap().len();
        file.set_len(length - room).unwrap();
    }

    pub fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
