//! The log, on standard error: as text, as JSON, or with the level before each line as systemd's journal takes it.
//!
//! The AWS SDK logs the bodies of answers at trace, those of CreateAccessKey as well if LOG_SENSITIVE_BODIES is set. What
//! it says there is dropped, whatever the level and the environment.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::LogFormat;

/// Who logs bodies.
const BODIES: &str = "aws_smithy_runtime::client::orchestrator::http";

/// Lines that wait for whoever reads the log. When he does not keep up, further ones are lost.
const QUEUE: usize = 1024;

/// Begins to log. `verbose` counts the `-v`; a program that answers others must not wait for its log's reader.
pub(super) fn init(verbose: u8, waits: bool, form: LogFormat) {
    let level = match verbose {
        0 if waits => "off",
        0 => "rotakey_agent=warn",
        1 => "rotakey_agent=info",
        2 => "rotakey_agent=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("ROTAKEY_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    if waits {
        return begin(form, filter, io::stderr);
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
        Ok(_) => begin(form, filter, move || writer.clone()),
        Err(_) => begin(form, filter, io::stderr),
    }
}

fn begin<W>(form: LogFormat, filter: EnvFilter, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let bodies = || FilterFn::new(|metadata| !metadata.target().starts_with(BODIES));
    let log = tracing_subscriber::registry().with(filter);
    let mut lines = tracing_subscriber::fmt::layer().with_writer(writer);
    // Left alone it paints what goes into a file, too; NO_COLOR it looks at by itself.
    if !io::stderr().is_terminal() {
        lines.set_ansi(false);
    }
    match form {
        LogFormat::Json => log.with(lines.json().flatten_event(true).with_filter(bodies())).init(),
        LogFormat::Journald => {
            let plain = format::format().without_time().with_level(false).with_ansi(false);
            log.with(lines.with_ansi(false).event_format(Levelled(plain)).with_filter(bodies()))
                .init();
        }
        LogFormat::Text | LogFormat::Auto => log.with(lines.with_filter(bodies())).init(),
    }
}

/// Whether standard error goes to systemd's journal: `JOURNAL_STREAM` is the device and the inode of that stream.
pub(super) fn is_read_by_journald(stream: Option<&str>) -> bool {
    let named = stream.and_then(|stream| stream.split_once(':'));
    let named = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    let ours = rustix::fs::fstat(io::stderr()).ok();
    named.is_some() && named == ours.map(|stat| (stat.st_dev, stat.st_ino))
}

/// Lines with the level before them, as journald takes it (sd-daemon(3)).
struct Levelled<F>(F);

impl<S, N, F> FormatEvent<S, N> for Levelled<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        // What is said on many lines has the same level on each.
        text.lines().try_for_each(|line| writeln!(writer, "<{level}>{line}"))
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
