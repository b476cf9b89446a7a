//! AWS's shared files, `~/.aws/credentials` and `~/.aws/config`: what stands in them, and edits that keep every byte they
//! are not about. Bytes in, bytes out; only [`read`], [`plaintext_copies`] and [`rotakey_line`] read files by themselves.

mod document;
mod edit;
mod profiles;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use zeroize::Zeroizing;

pub use document::{Document, Fact, Facts, Property, Section};
pub use edit::{Changes, Entangled, Gone, KEY, New};
pub use profiles::{Holding, Kind, Shared, Standing};

use crate::config::{ConfigError, Env};
use crate::store::disk;

/// Where the two files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`.
    pub credentials: PathBuf,
    /// `AWS_CONFIG_FILE`, or `~/.aws/config`.
    pub config: PathBuf,
}

impl Places {
    /// Where SDKs look, with this environment.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let home = env.get("HOME").map(Path::new);
        let place = |variable: &str, below: &str| {
            let path = env.get(variable).map_or_else(|| format!("~/{below}"), str::to_owned);
            let expanded = match (path.strip_prefix("~/"), home) {
                (Some(rest), Some(home)) => Some(home.join(rest)),
                (Some(_), None) => None,
                (None, _) => std::path::absolute(&path).ok(),
            };
            expanded.ok_or_else(|| {
                ConfigError::new(
                    format!("cannot tell where {path} is: HOME is not set"),
                    format!("set HOME, or {variable} to the whole path"),
                )
            })
        };
        Ok(Self {
            credentials: place("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?,
            config: place("AWS_CONFIG_FILE", ".aws/config")?,
        })
    }

    /// The file of a kind.
    pub fn path(&self, kind: Kind) -> &Path {
        match kind {
            Kind::Credentials => &self.credentials,
            Kind::Config => &self.config,
        }
    }
}

/// What is to become of a profile in the two files.
pub struct Wanted {
    /// The profile.
    pub profile: String,
    /// The key it holds.
    pub id: AccessKeyId,
    /// Its secret.
    pub secret: SecretAccessKey,
    /// The `credential_process = …` line, if it is not there yet.
    pub line: Option<String>,
    /// Whether the key goes.
    pub take: bool,
}

impl Wanted {
    /// The changes of one file. A key that is not the one meant any more stays, with everything of that profile.
    pub fn changes(wanted: &[Self], kind: Kind, document: &Document<'_>) -> Changes {
        let mut changes = Changes::default();
        for one in wanted {
            let sections: Vec<_> = kind.sections(document, &one.profile).collect();
            let held = sections.iter().flat_map(|(_, section)| &section.properties);
            let is_meant = held.clone().all(|property| match property.name.as_str() {
                "aws_access_key_id" => property.text() == Some(one.id.as_str()),
                "aws_secret_access_key" => property.text() == Some(one.secret.expose()),
                _ => true,
            });
            if one.take && is_meant {
                sections.iter().for_each(|(_, section)| changes.take_key(section));
            }
            let Some(line) = one.line.as_deref().filter(|_| kind == Kind::Config) else { continue };
            if held.clone().any(|property| property.name == "credential_process") {
                continue;
            }
            // `[default]` and `[profile default]`: readers differ in which of the two counts. Of several sections
            // of one name, the last counts for all who take them.
            let last = sections.iter().enumerate().filter(|(at, (_, section))| {
                !sections[at + 1..].iter().any(|(_, later)| later.name == section.name)
            });
            let last: Vec<usize> = last.map(|(_, (number, _))| *number).collect();
            for number in &last {
                changes.append(document, *number, line);
            }
            if last.is_empty() {
                let name = &one.profile;
                let header =
                    if name == "default" { name.clone() } else { format!("profile {name}") };
                changes.append_section(&header, line);
            }
        }
        changes
    }
}

/// A place where a key stands in plaintext, for every SDK to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// In which file.
    pub path: PathBuf,
    /// Of which profile: the section's name.
    pub profile: String,
    /// On which line, from 1.
    pub line: usize,
}

/// One of the files; `None` if it is not there. A pipe in its place is not waited at.
pub fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match disk::read_regular(path, u64::MAX) {
        Ok(None) => Err(io::Error::other("it is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read,
    }
}

/// Where a profile's `credential_process` line runs rotakey: the file, and the line from 1.
pub fn rotakey_line(env: &Env, profile: &str) -> Option<(PathBuf, usize)> {
    let places = Places::from_env(env).ok()?;
    let bytes = [Kind::Credentials, Kind::Config].map(|kind| read(places.path(kind)));
    let bytes = bytes.map(|read| read.ok().flatten().unwrap_or_default());
    let (kind, line) = Shared::parse(&bytes[0], &bytes[1]).rotakey_line(profile)?;
    Some((places.path(kind).to_owned(), line))
}

/// Where the shared files hold these keys. What cannot be read holds none: no SDK of this user can read it either.
pub fn plaintext_copies(env: &Env, ids: &[&AccessKeyId]) -> Vec<Copy> {
    let Ok(places) = Places::from_env(env) else { return Vec::new() };
    let mut copies = Vec::new();
    for kind in [Kind::Credentials, Kind::Config] {
        let path = places.path(kind);
        let Ok(Some(bytes)) = read(path) else { continue };
        let document = Document::parse(&bytes);
        for section in &document.sections {
            let held = section.properties.iter().filter(|property| {
                let text = property.text();
                property.name == KEY[0] && ids.iter().any(|id| text == Some(id.as_str()))
            });
            let name = kind.profile(&section.name);
            let profile =
                name.unwrap_or_else(|| String::from_utf8_lossy(&section.name).into_owned());
            copies.extend(held.map(|property| Copy {
                path: path.to_owned(),
                profile: profile.clone(),
                line: property.lines.start + 1,
            }));
        }
    }
    copies
}
