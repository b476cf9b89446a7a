//! A `credential_process` line: which program it runs, and for which profile.

use std::path::{Path, PathBuf};

use super::scene::Scene;
use crate::store::disk;

/// What a line comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It runs rotakey for a profile of this configuration.
    Ours(String),
    /// It runs another program.
    Other(String),
    /// It runs rotakey, and cannot work, or not as it is meant to.
    Wrong(String),
}

impl Line {
    /// Reads a line.
    pub(super) fn read(scene: &Scene<'_>, line: &str) -> Self {
        let words = words(line);
        let Some(program) = words.first() else { return Self::Wrong("it is empty".to_owned()) };
        let is_ours = |word: &String| word == "credential-process";
        if !words.iter().skip(1).any(is_ours) {
            return Self::Other(program.clone());
        }
        let Some(path) = find(scene, program) else {
            return Self::Wrong(format!("{program} is not there"));
        };
        match disk::access(&path) {
            Ok(Some(access)) if access.is_program => {}
            _ => return Self::Wrong(format!("{} cannot be run", path.display())),
        }
        let named = words.iter().position(|word| word == "--profile").map(|at| words.get(at + 1));
        let named = match named {
            Some(name) => name.cloned(),
            None => words.iter().find_map(|w| w.strip_prefix("--profile=")).map(str::to_owned),
        };
        match named {
            None => Self::Wrong("it names no profile: it would serve $AWS_PROFILE's".to_owned()),
            Some(name) if scene.app.config.contains(&name) => Self::Ours(name),
            Some(name) => Self::Wrong(format!("{name} is no profile of rotakey")),
        }
    }

    /// Whether it runs the very program that looks at it now.
    pub(super) fn runs_this(scene: &Scene<'_>, line: &str) -> bool {
        let path = words(line).first().and_then(|program| find(scene, program));
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

/// A line as `shlex` splits it, which is how botocore does.
pub(super) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut escaped) = (Vec::new(), None::<String>, None, false);
    for c in line.chars() {
        match (c, quote) {
            _ if escaped => {
                word.get_or_insert_default().push(c);
                escaped = false;
            }
            ('\\', None | Some('"')) => escaped = true,
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_shlex_does() {
        assert_eq!(
            words(r#""/a b/rotakey" x --profile  p"#),
            ["/a b/rotakey", "x", "--profile", "p"]
        );
        assert_eq!(words(r"'a b'c d\ e"), ["a bc", "d e"]);
        assert_eq!(words(r#""" "a\"b""#), ["", "a\"b"]);
        assert_eq!(words("  "), Vec::<String>::new());
    }
}
