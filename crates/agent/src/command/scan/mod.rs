//! `scan`: copies of the managed key ids in files and in this user's processes. Whoever holds such a copy does not get the
//! next key from rotakey, and breaks when this one goes.

mod finder;
pub mod places;
mod process;
mod report;
mod walk;
pub(in crate::command) mod wanted;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use rotakey_core::credential::AccessKeyId;
use serde_json::json;

use self::finder::Finder;
use self::walk::{Root, Scan, Tally};
use crate::app::App;
use crate::failure::{Exit, Failed};
use crate::store::disk;
use crate::wording::counted;

/// The arguments of `scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Files and folders to go through [default: the places below]
    pub paths: Vec<PathBuf>,
    /// Look for this id, too; may be given again
    #[arg(long = "access-key-id", value_name = "ID")]
    pub ids: Vec<String>,
    /// As JSON, one object a line, a summary last
    #[arg(long)]
    pub json: bool,
}

/// Runs it; of the profile `only`, if one is named.
pub fn run(app: &App, only: Option<&str>, args: &ScanArgs) -> Result<ExitCode, Failed> {
    for id in &args.ids {
        id.parse::<AccessKeyId>()
            .map_err(|error| Failed::new(Exit::Usage, format!("{id:?} is {error}")))?;
    }
    let mut wanted = wanted::all(app, &args.ids)?;
    wanted.retain(|key| only.is_none() || key.profile.is_none() || key.profile.as_deref() == only);
    if wanted.is_empty() {
        return Err(Failed::new(Exit::Usage, "there is no key id to look for")
            .hint("`rotakey add` takes a key over, or name one: --access-key-id ID"));
    }
    let finder = Finder::new(wanted)
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot look for these: {error}")))?;
    let own = own_places(app);
    let scan = Scan {
        finder: &finder,
        own: &own,
        printer: &app.printer,
        tally: Tally::default(),
        found: Mutex::default(),
    };
    if args.paths.is_empty() {
        known_places(app, &scan)?;
    } else {
        scan.trees(&roots(&args.paths, &own)?);
    }
    let (in_processes, processes, closed) = process::all(&finder, &args.ids);
    app.printer.progress_done();

    let Scan { tally, found, .. } = scan;
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let more: usize = found.iter().map(|found| found.more).sum();
    let copies = report::copies(&finder.wanted, found, in_processes);
    for copy in &copies {
        app.printer.data(&if args.json { copy.json().to_string() } else { copy.text() });
    }
    let seen = Seen { copies: copies.len(), more, processes, closed, tally: &tally };
    if args.json {
        app.printer.data(&seen.json());
    } else {
        app.printer.say(&seen.text());
    }
    Ok(ExitCode::from(u8::from(!copies.is_empty())))
}

/// The places of the table, then whatever in the home folder is called as such files are.
fn known_places(app: &App, scan: &Scan<'_>) -> Result<(), Failed> {
    let home = app.env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let home = home.ok_or_else(|| {
        Failed::new(Exit::Usage, "HOME is not set").hint("name the folders: rotakey scan PATH…")
    })?;
    let mut places = places::in_home(&home);
    let named = ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"];
    places.extend(named.iter().filter_map(|name| app.env.get(name)).map(PathBuf::from));
    let there: Vec<PathBuf> =
        places.into_iter().filter(|path| disk::target(path).is_ok()).collect();
    let trees = roots(&there, scan.own)?;
    scan.trees(&trees);
    let home = roots(&[home], scan.own)?;
    home.into_iter().for_each(|home| scan.by_name(home, &trees));
    Ok(())
}

/// Where these paths truly are, without those that lie in others or are rotakey's own.
fn roots(paths: &[PathBuf], own: &[PathBuf]) -> Result<Vec<Root>, Failed> {
    let mut roots: Vec<Root> = Vec::new();
    for given in paths {
        let (real, _) = disk::target(given).map_err(|error| {
            Failed::new(Exit::Usage, format!("cannot look at {}: {error}", given.display()))
                .hint("name files and folders that are there")
        })?;
        roots.push(Root { given: given.clone(), real });
    }
    roots.sort_by(|a, b| a.real.cmp(&b.real));
    let mut kept: Vec<Root> = Vec::new();
    for root in roots {
        let again = kept.last().is_some_and(|above| root.real.starts_with(&above.real));
        if !again && !own.iter().any(|own| root.real.starts_with(own)) {
            kept.push(root);
        }
    }
    Ok(kept)
}

/// What rotakey keeps for itself.
fn own_places(app: &App) -> Vec<PathBuf> {
    let paths = [&app.paths.config, &app.paths.state, &app.paths.run];
    let real = |path: &Path| disk::target(path).map_or(path.to_owned(), |(real, _)| real);
    paths.into_iter().map(|path| real(path)).collect()
}

/// What a scan came to.
struct Seen<'a> {
    copies: usize,
    /// Further places in files that hold very many.
    more: usize,
    processes: usize,
    closed: usize,
    tally: &'a Tally,
}

impl Seen<'_> {
    fn json(&self) -> String {
        let of = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let tally = self.tally;
        json!({
            "type": "summary",
            "copies": self.copies + self.more,
            "copies_not_shown": self.more,
            "files": of(&tally.files),
            "bytes": of(&tally.bytes),
            "processes": self.processes,
            "skipped": {
                "binaries": of(&tally.binaries),
                "unreadable": of(&tally.unreadable),
                "special": of(&tally.special),
                "links_to_folders": of(&tally.links),
                "folders": of(&tally.folders),
                "changed": of(&tally.changed),
                "processes": self.closed,
            },
        })
        .to_string()
    }

    fn text(&self) -> String {
        let processes_of = |n| format!("{n} process{}", if n == 1 { "" } else { "es" });
        let of = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let tally = self.tally;
        let copies = match self.copies + self.more {
            0 => "no copy".to_owned(),
            1 => "1 copy".to_owned(),
            n if self.more > 0 => format!("{n} copies, {} of them not shown,", self.more),
            n => format!("{n} copies"),
        };
        let skipped: Vec<String> = [
            (of(&tally.binaries), "binary"),
            (of(&tally.unreadable), "unreadable (-v names them)"),
            (of(&tally.special), "no files (pipes, sockets, devices)"),
            (of(&tally.links), "links to folders"),
            (of(&tally.folders), "folders of git's objects or the kernel's"),
            (of(&tally.changed), "gone meanwhile"),
            (self.closed, "of the processes, which nobody may look into"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        let mib = of(&tally.bytes) >> 20;
        let (files, processes) = (of(&tally.files), self.processes);
        let (files, processes) = (counted(files, "file"), processes_of(processes));
        let mut text = format!("{copies} in {files} ({mib} MiB) and {processes}");
        if !skipped.is_empty() {
            text.push_str("; left out: ");
            text.push_str(&skipped.join(", "));
        }
        text
    }
}
