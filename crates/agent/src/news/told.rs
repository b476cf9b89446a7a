//! What was told already: `state/news.jsonl`, as long as it is useful, and no news twice.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rotakey_core::time::later;

use super::{Kind, News};
use crate::store::disk;

/// A longer file loses its older half.
const BYTES_MAX: u64 = 128 * 1024;

/// The same is told again after this.
const AGAIN: Duration = Duration::from_secs(24 * 3600);

/// What was told last of each profile and kind.
#[derive(Debug)]
pub(super) struct Told {
    file: Option<PathBuf>,
    last: HashMap<(String, Kind), News>,
}

impl Told {
    pub(super) fn read(file: Option<PathBuf>) -> Self {
        let news = file.as_deref().map(read).unwrap_or_default();
        let last = news.into_iter().map(|news| (key(&news), news)).collect();
        Self { file, last }
    }

    /// A rotation that is looked at every hour is still held for the same reason: that is no news.
    pub(super) fn is_new(&self, news: &News) -> bool {
        self.last.get(&key(news)).is_none_or(|last| {
            (&last.rotation, &last.message) != (&news.rotation, &news.message)
                || news.time >= later(last.time, AGAIN)
                || news.time < last.time
        })
    }

    pub(super) fn note(&mut self, news: &News) {
        self.last.insert(key(news), news.clone());
        let Some(path) = &self.file else { return };
        if let Err(error) = write(path, news) {
            tracing::warn!(%error, path = %path.display(), "news cannot be written");
        }
    }
}

fn key(news: &News) -> (String, Kind) {
    (news.profile.clone(), news.kind)
}

/// The news of a file, the oldest first. A line that cannot be read says nothing; the others do.
pub(super) fn read(path: &Path) -> Vec<News> {
    let bytes = disk::read(path).ok().flatten().unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

fn write(path: &Path, news: &News) -> std::io::Result<()> {
    disk::create_private_dir(path.parent().unwrap_or(Path::new(".")))?;
    disk::check_private(path)?;
    if disk::append_line(path, &news.json().to_string())? > BYTES_MAX {
        let all = read(path);
        let kept = all[all.len() / 2..].iter().map(|news| format!("{}\n", news.json()));
        disk::replace_unlocked(path, kept.collect::<String>().as_bytes())?;
    }
    Ok(())
}
