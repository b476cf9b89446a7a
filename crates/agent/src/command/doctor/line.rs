//! What a `credential_process` line comes to on this machine.

use std::path::{Path, PathBuf};

use super::scene::Scene;
use crate::shared_files::Process;
use crate::store::disk;

/// What a line comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It runs rotakey for a profile of this configuration.
    Ours(String),
    /// It runs another program: its name, as far as it can be shown.
    Other(String),
    /// It runs rotakey, and cannot work, or not as it is meant to.
    Wrong(String),
}

impl Line {
    /// Reads a line.
    pub(super) fn read(scene: &Scene<'_>, line: &str) -> Self {
        let process = Process::read(line);
        let Some(program) = process.program() else {
            return Self::Wrong("it is empty, or has a quote that is not closed".to_owned());
        };
        if !process.is_rotakey() {
            return Self::Other(process.shown().to_owned());
        }
        let Some(path) = find(scene, program) else {
            return Self::Wrong(format!("{} is not there", process.shown()));
        };
        match disk::access(&path) {
            Ok(Some(access)) if access.is_program => {}
            _ => return Self::Wrong(format!("{} cannot be run", process.shown())),
        }
        match process.profile() {
            None => Self::Wrong("it names no profile: it would serve $AWS_PROFILE's".to_owned()),
            Some(name) if scene.app.config.contains(name) => Self::Ours(name.to_owned()),
            Some(name) => Self::Wrong(format!("{name} is no profile of rotakey")),
        }
    }

    /// Whether it runs the very program that looks at it now.
    pub(super) fn runs_this(scene: &Scene<'_>, line: &str) -> bool {
        let process = Process::read(line);
        let path = process.program().and_then(|program| find(scene, program));
        path.is_some_and(|path| disk::is_same(&path, &scene.own))
    }
}

/// The file of a program: a path, or a name that PATH leads to.
fn find(scene: &Scene<'_>, program: &str) -> Option<PathBuf> {
    let is_there = |path: &Path| disk::access(path).ok().flatten().is_some();
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_there(path));
    }
    let paths = scene.app.env.get("PATH")?;
    std::env::split_paths(paths).map(|folder| folder.join(program)).find(|path| is_there(path))
}
