//! The log, on standard error.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use tracing_subscriber::EnvFilter;

/// Lines that wait for whoever reads the log. When he does not keep up, further ones are lost.
const QUEUE: usize = 1024;

/// Begins to log. `verbose` counts the `-v`; a program that answers others must not wait for its log's reader.
pub(super) fn init(verbose: u8, waits: bool) {
    let level = match verbose {
        0 if waits => "off",
        0 => "rotakey_agent=warn",
        1 => "rotakey_agent=info",
        2 => "rotakey_agent=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("ROTAKEY_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    if waits {
        return log.with_writer(io::stderr).init();
    }
    let (lines, inbox) = sync_channel::<Vec<u8>>(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Lines { lines, lost: Arc::clone(&lost) };
    let spawned = std::thread::Builder::new().name("log".to_owned()).spawn(move || {
        for line in inbox {
            let lost = lost.swap(0, Ordering::Relaxed);
            let mut out = io::stderr().lock();
            if lost > 0 {
                let _ =
                    writeln!(out, "{lost} lines of the log were lost: nobody read them in time");
            }
            let _ = out.write_all(&line);
        }
    });
    match spawned {
        Ok(_) => log.with_writer(move || writer.clone()).init(),
        Err(_) => log.with_writer(io::stderr).init(),
    }
}

/// Takes lines, and does not wait.
#[derive(Clone)]
struct Lines {
    lines: SyncSender<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(line.to_vec()).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
