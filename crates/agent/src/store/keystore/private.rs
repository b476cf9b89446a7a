//! Files for their owner alone.

use std::fs::{Metadata, OpenOptions};

/// Why a file is not for its owner alone, if it is not.
#[cfg(unix)]
pub(super) fn not_private(metadata: &Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let owner = metadata.uid();
    let me = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        Some("not a regular file".to_owned())
    } else if owner != me {
        Some(format!("owned by user {owner}, not by the user {me} of this process"))
    } else if metadata.mode() & 0o077 != 0 {
        Some(format!(
            "its mode {:04o} lets others at it; it must be 0600",
            metadata.mode() & 0o7777
        ))
    } else {
        None
    }
}

#[cfg(not(unix))]
pub(super) fn not_private(metadata: &Metadata) -> Option<String> {
    (!metadata.is_file()).then(|| "not a regular file".to_owned())
}

/// Options that open for writing, and create for the owner alone.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}
