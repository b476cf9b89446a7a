//! A client's clock, set as a test wants it: libfaketime stands between the client and the system.
//!
//! What is written in the file holds from the client's next look at the clock. Only the wall clock is shifted:
//! timeouts and sleeps go by the monotonic one, and last as long as ever.

use std::path::PathBuf;

/// The clock of one client.
pub(crate) struct Clock {
    file: PathBuf,
}

impl Clock {
    pub(crate) fn new(file: PathBuf) -> Self {
        let clock = Self { file };
        clock.set_ahead(0);
        clock
    }

    /// Sets it ahead of the true time by so many seconds.
    pub(crate) fn set_ahead(&self, seconds: i64) {
        // Replaced as a whole: a client that reads half of it would be at another time.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}s\n")).expect("writable");
        std::fs::rename(&new, &self.file).expect("writable");
    }

    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let libraries = std::fs::read_dir("/usr/lib").expect("readable").flatten();
        let library = libraries
            .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
            .find(|library| library.exists())
            .expect("libfaketime is missing: run `make deps`");
        vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}
