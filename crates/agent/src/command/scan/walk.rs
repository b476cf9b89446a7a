//! Goes through trees with ripgrep's walker, and looks at each file. Reads regular files and nothing else, follows links to
//! files but not to folders, and leaves out what holds no text.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ignore::{DirEntry, WalkBuilder, WalkState};
use zeroize::Zeroizing;

use super::finder::{CHUNK, Finder, Hit, Look, Places};
use super::places;
use crate::printer::Printer;
use crate::store::disk;

/// How deep in the home folder files are looked for by their names.
const DEPTH_BY_NAME: usize = 7;

/// Folders that no project is in, or copies of other people's.
const NO_PROJECTS: [&str; 6] =
    ["node_modules", ".cache", ".cargo", ".rustup", "site-packages", ".git"];

/// A file with copies.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) kind: &'static str,
    pub(super) hits: Vec<Hit>,
    /// How many more places there are in it.
    pub(super) more: usize,
}

/// What was gone through, and what was not.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) files: AtomicUsize,
    pub(super) bytes: AtomicUsize,
    pub(super) binaries: AtomicUsize,
    pub(super) unreadable: AtomicUsize,
    /// Sockets, pipes, devices.
    pub(super) special: AtomicUsize,
    /// Links to folders.
    pub(super) links: AtomicUsize,
    /// Folders of git's objects, and those that the kernel makes up.
    pub(super) folders: AtomicUsize,
    /// Files that changed or went while they were looked at.
    pub(super) changed: AtomicUsize,
}

fn count(what: &AtomicUsize) {
    what.fetch_add(1, Ordering::Relaxed);
}

/// A tree: as it was named, and where it truly is.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) given: PathBuf,
    pub(super) real: PathBuf,
}

/// One scan.
pub(super) struct Scan<'a> {
    pub(super) finder: &'a Finder,
    /// rotakey's own places, which are not looked at.
    pub(super) own: &'a [PathBuf],
    pub(super) printer: &'a Printer,
    pub(super) tally: Tally,
    pub(super) found: Mutex<Vec<Found>>,
}

impl Scan<'_> {
    /// Goes through whole trees.
    pub(super) fn trees(&self, roots: &[Root]) {
        self.walk(roots, &[], None, |_| true);
    }

    /// Looks in a home folder for files by their names, except where `seen` already went.
    pub(super) fn by_name(&self, home: Root, seen: &[Root]) {
        self.walk(&[home], seen, Some(DEPTH_BY_NAME), places::is_well_named);
    }

    fn walk(
        &self,
        roots: &[Root],
        seen: &[Root],
        depth: Option<usize>,
        wants: impl Fn(&Path) -> bool + Sync,
    ) {
        let Some((first, rest)) = roots.split_first() else { return };
        let mut builder = WalkBuilder::new(&first.real);
        rest.iter().for_each(|root| {
            builder.add(&root.real);
        });
        builder.standard_filters(false).follow_links(false).max_depth(depth);
        let mut left_out: Vec<PathBuf> = self.own.to_vec();
        left_out.extend(seen.iter().map(|root| root.real.clone()));
        let by_name = depth.is_some();
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get().min(12));
        let walker = builder.threads(threads).build_parallel();
        walker.run(|| {
            let mut buffer = Zeroizing::new(vec![0; CHUNK]);
            let (left_out, wants) = (&left_out, &wants);
            Box::new(move |entry| match entry {
                Ok(entry) if left_out.iter().any(|own| own == entry.path()) => WalkState::Skip,
                Ok(entry) if self.is_barren(&entry, by_name) => WalkState::Skip,
                Ok(entry) => {
                    if wants(entry.path()) {
                        self.visit(&entry, roots, &mut buffer);
                    }
                    WalkState::Continue
                }
                Err(error) => {
                    tracing::info!(%error, "left out");
                    let gone = error
                        .io_error()
                        .is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
                    count(if gone { &self.tally.changed } else { &self.tally.unreadable });
                    WalkState::Continue
                }
            })
        });
    }

    /// A folder that holds no text of people's.
    fn is_barren(&self, entry: &DirEntry, by_name: bool) -> bool {
        if entry.depth() == 0 || !entry.file_type().is_some_and(|kind| kind.is_dir()) {
            return false;
        }
        let (path, name) = (entry.path(), entry.file_name());
        let above = || path.parent().and_then(Path::file_name);
        // Compressed, all of it: what is in there is seen by `git log -S ID`.
        let objects = name == "objects"
            && above().is_some_and(|above| above.to_string_lossy().ends_with(".git"));
        let made_up = ["/proc", "/sys", "/dev"].iter().any(|made_up| path == Path::new(made_up));
        let no_project = by_name && NO_PROJECTS.iter().any(|no| name == *no);
        if objects || made_up {
            count(&self.tally.folders);
        }
        objects || made_up || no_project
    }

    fn visit(&self, entry: &DirEntry, roots: &[Root], buffer: &mut [u8]) {
        let Some(kind) = entry.file_type() else { return };
        let path = entry.path();
        if kind.is_dir() {
            return;
        }
        if kind.is_symlink() {
            match disk::target(path) {
                Ok((_, kind)) if kind.is_dir() => return count(&self.tally.links),
                // Somebody may wait at the other end of a pipe, and some devices do things when they are opened.
                Ok((_, kind)) if !kind.is_file() => return count(&self.tally.special),
                Ok((target, _)) => {
                    // What lies in these trees is seen in its own place.
                    let within = |root: &Path| target.starts_with(root);
                    if roots.iter().any(|root| within(&root.real))
                        || self.own.iter().any(|own| within(own))
                    {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(_) => return count(&self.tally.unreadable),
            }
        } else if !kind.is_file() {
            return count(&self.tally.special);
        }
        match self.search(path, buffer) {
            Ok(None) => {}
            Ok(Some(Places { hits, more, .. })) => {
                let path = named(path, roots);
                let kind = places::kind(&path);
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                found.push(Found { path, kind, hits, more });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => count(&self.tally.changed),
            Err(error) => {
                tracing::info!(path = %path.display(), %error, "left out");
                count(&self.tally.unreadable);
            }
        }
    }

    /// Looks at one file.
    fn search(&self, path: &Path, buffer: &mut [u8]) -> io::Result<Option<Places>> {
        let Some(file) = disk::open_regular(path)? else {
            count(&self.tally.special);
            return Ok(None);
        };
        let (look, bytes) = self.finder.look(file, buffer)?;
        let files = self.tally.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.tally.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if files.is_multiple_of(256) {
            let mib = bytes >> 20;
            self.printer.progress(&format!("{files} files, {mib} MiB  {}", short(path)));
        }
        match look {
            Look::Clean => Ok(None),
            Look::Binary => {
                count(&self.tally.binaries);
                Ok(None)
            }
            Look::Hit => {
                let Some(file) = disk::open_regular(path)? else { return Ok(None) };
                let places = self.finder.places_in(file)?;
                Ok((!places.hits.is_empty()).then_some(places))
            }
        }
    }
}

/// A path as the person called it who named its tree.
fn named(path: &Path, roots: &[Root]) -> PathBuf {
    let within = |root: &Root| {
        let rest = path.strip_prefix(&root.real).ok()?;
        Some(if rest.as_os_str().is_empty() { root.given.clone() } else { root.given.join(rest) })
    };
    roots.iter().find_map(within).unwrap_or_else(|| path.to_owned())
}

/// The end of a path, for a line that replaces itself.
fn short(path: &Path) -> String {
    let text: String = path.to_string_lossy().chars().filter(|c| !c.is_control()).collect();
    let skip = text.chars().count().saturating_sub(50);
    text.chars().skip(skip).collect()
}
