//! Files of other tools in which keys are often kept: a managed key in one of them will not be replaced.

use super::check::Check;
use super::scene::Scene;
use crate::store::disk;

/// Below the home folder. `rotakey scan` looks everywhere.
const FILES: [&str; 9] = [
    ".s3cfg",
    ".boto",
    ".passwd-s3fs",
    ".mc/config.json",
    ".config/rclone/rclone.conf",
    ".aws/cli/alias",
    ".terraformrc",
    ".netrc",
    ".docker/config.json",
];

/// Of a longer file only the beginning is read, in bytes.
const LENGTH_MAX: u64 = 1 << 20;

/// A copy of a key of this profile in each of those files.
pub(super) fn checks(scene: &Scene<'_>, profile: &str) -> Vec<Check> {
    let Some(home) = scene.app.env.get("HOME") else { return Vec::new() };
    let holder = scene.app.config.key_profile(profile).unwrap_or(profile);
    let keys = scene.managed.iter().filter(|(_, name)| name == holder);
    let ids: Vec<&str> = keys.map(|(id, _)| id.as_str()).collect();
    let mut found = Vec::new();
    for file in FILES {
        let path = std::path::Path::new(home).join(file);
        let Ok(Some(bytes)) = disk::read_regular(&path, LENGTH_MAX) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        for (number, line) in text.lines().enumerate() {
            let Some(id) = ids.iter().find(|id| line.contains(**id)) else { continue };
            let found_at = format!("{}:{}: a copy of the key {id}", path.display(), number + 1);
            found.push(
                Check::bad("leftovers", found_at)
                    .hint("have that program use the profile; a rotation will not replace this"),
            );
        }
    }
    if found.is_empty() {
        found.push(Check::ok("leftovers", "no copy in the files where other tools keep keys"));
    }
    found
}
