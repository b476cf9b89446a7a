//! rotakey's own files: whose they are, and whether there is room for more.

use std::path::Path;

use super::check::Check;
use super::scene::quoted;
use crate::app::App;
use crate::serving::authority;
use crate::store::disk;

/// A journal's line is not even a hundredth of this; below it nothing can be promised.
const LEAST_BYTES: u64 = 1 << 20;
/// Somebody should look.
const LITTLE_BYTES: u64 = 64 << 20;
/// The same for files.
const LEAST_FILES: u64 = 64;

/// All of them.
pub(super) fn checks(app: &App) -> Vec<Check> {
    let mut checks: Vec<Check> =
        [&app.paths.state, &app.paths.run].into_iter().filter_map(|path| private(path)).collect();
    checks.extend(private_file(&authority::key_path(&app.paths.state)));
    for name in app.config.profile_names() {
        checks.extend(private(&app.paths.state.join(name)));
    }
    if checks.is_empty() {
        let state = app.paths.state.display();
        checks.push(Check::ok("state", format!("{state} and the agent's folder are yours alone")));
    }
    checks.extend(room(&app.paths.state));
    checks
}

fn private(path: &Path) -> Option<Check> {
    private_by(path, "700")
}

fn private_file(path: &Path) -> Option<Check> {
    private_by(path, "600")
}

fn private_by(path: &Path, mode: &str) -> Option<Check> {
    let error = disk::check_private(path).err()?;
    let found = format!("{}: {error}", path.display());
    let command = format!("chmod {mode} {}", quoted(&path.display().to_string()));
    Some(Check::bad("state", found).hint("rotakey refuses to use it").run(command))
}

fn room(state: &Path) -> Option<Check> {
    let (bytes, files) = disk::room(state).ok()?;
    let free = match bytes >> 20 {
        mib @ 0..10_240 => format!("{mib} MiB"),
        mib => format!("{} GiB", mib >> 10),
    };
    let found = format!("{free} and {files} files are free at {}", state.display());
    // Some file systems do not count files.
    let few_files = files > 0 && files < LEAST_FILES;
    Some(if bytes < LEAST_BYTES || few_files {
        Check::bad("state", found).hint("make room: without it nothing can be rotated")
    } else if bytes < LITTLE_BYTES {
        Check::warning("state", found).hint("make room before it is full")
    } else {
        Check::ok("state", found)
    })
}
