//! Files that we install, and how we know whether they are still as we left them: the first line has a checksum of the rest.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::failure::{Exit, Failed};
use crate::store::disk;

const MARK: &str = "written by `rotakey service install`; sha256 of what follows: ";

/// A file to be installed.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    text: String,
}

/// How a file is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Absent,
    /// As it would be written now.
    Same,
    /// As an earlier install left it.
    Older,
    /// Somebody changed it, or wrote it.
    Changed,
}

impl Found {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Same => "installed",
            Self::Older => "installed, with other settings",
            Self::Changed => "changed by somebody",
        }
    }
}

impl Wanted {
    /// A unit, marked.
    pub(super) fn unit(path: PathBuf, body: &str) -> Self {
        Self { path, text: format!("# {MARK}{}\n{body}", checksum(body)) }
    }

    /// A property list. Its mark is a comment after the first line, which must be XML's own.
    pub(super) fn plist(path: PathBuf, body: &str) -> Self {
        let (first, rest) = body.split_once('\n').unwrap_or((body, ""));
        Self { path, text: format!("{first}\n<!-- {MARK}{} -->\n{rest}", checksum(rest)) }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn found(&self) -> Result<Found, Failed> {
        let bytes = disk::read(&self.path).map_err(|error| cannot("read", &self.path, &error))?;
        Ok(match bytes.map(String::from_utf8) {
            None => Found::Absent,
            Some(Ok(text)) if text == self.text => Found::Same,
            Some(Ok(text)) if is_as_we_left_it(&text) => Found::Older,
            Some(_) => Found::Changed,
        })
    }

    /// Writes it, unless that is not needed; says whether it did.
    pub(super) fn install(&self, force: bool) -> Result<bool, Failed> {
        match self.found()? {
            Found::Same => return Ok(false),
            Found::Changed if !force => return Err(self.is_somebodys("overwritten")),
            _ => {}
        }
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        disk::create_private_dir(folder).map_err(|error| cannot("create", folder, &error))?;
        disk::replace_unlocked(&self.path, self.text.as_bytes())
            .map_err(|error| cannot("write", &self.path, &error))?;
        Ok(true)
    }

    /// Removes it; says whether it was there.
    pub(super) fn uninstall(&self, force: bool) -> Result<bool, Failed> {
        match self.found()? {
            Found::Absent => return Ok(false),
            Found::Changed if !force => return Err(self.is_somebodys("removed")),
            _ => {}
        }
        disk::remove(&self.path).map_err(|error| cannot("remove", &self.path, &error))
    }

    fn is_somebodys(&self, fate: &str) -> Failed {
        let path = self.path.display();
        Failed::new(Exit::Decide, format!("{path} was changed, or is not ours: it is not {fate}"))
            .hint("keep changes in a drop-in (systemctl --user edit rotakey), or give --force")
    }
}

fn cannot(act: &str, path: &Path, error: &std::io::Error) -> Failed {
    Failed::new(Exit::Failed, format!("cannot {act} {}: {error}", path.display()))
        .hint("make the folder yours and writable")
}

fn is_as_we_left_it(text: &str) -> bool {
    let mut rest = text;
    for _ in 0..2 {
        let Some((line, below)) = rest.split_once('\n') else { return false };
        if let Some((_, sum)) = line.split_once(MARK) {
            return sum.trim_end_matches(" -->") == checksum(below);
        }
        rest = below;
    }
    false
}

fn checksum(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
