//! The shared files, as SDKs see them: profiles with their settings, and where each stands.

use std::path::{Path, PathBuf};

use super::{OlderFiles, Place};
use crate::shared_files::{Document, Kind};

/// One `name = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, in small letters.
    pub key: String,
    /// Its value.
    pub value: String,
    /// On which line, counted from 1.
    pub line: usize,
}

/// One `[section]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What stands between the brackets.
    pub header: String,
    /// The profile that it is, if it is one.
    pub profile: Option<String>,
    /// On which line, counted from 1.
    pub line: usize,
    /// What it holds, in order.
    pub settings: Vec<Setting>,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Its sections, in order.
    pub sections: Vec<Section>,
    /// Lines that are no comment, no header and no setting, counted from 1.
    pub odd: Vec<usize>,
}

/// Both, and those that came before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedFiles {
    /// `~/.aws/credentials`, or where AWS_SHARED_CREDENTIALS_FILE says.
    pub credentials: File,
    /// `~/.aws/config`, or where AWS_CONFIG_FILE says.
    pub config: File,
    /// Those of boto 2 and of the first EC2 tools.
    pub older: OlderFiles,
}

impl File {
    /// Reads one of the two.
    pub fn read(kind: Kind, path: &Path, bytes: &[u8]) -> Self {
        let document = Document::parse(bytes);
        let sections = document.sections.iter().map(|section| {
            let header = String::from_utf8_lossy(&section.name).trim().to_owned();
            let settings = section.properties.iter().map(|property| {
                let whole = || String::from_utf8_lossy(&property.value).into_owned();
                Setting {
                    key: property.name.clone(),
                    value: property.text().map_or_else(whole, str::to_owned),
                    line: property.lines.start + 1,
                }
            });
            Section {
                profile: kind.profile(&section.name),
                line: section.line + 1,
                settings: settings.collect(),
                header,
            }
        });
        Self {
            path: path.to_owned(),
            sections: sections.collect(),
            odd: document.odd.iter().map(|line| line + 1).collect(),
        }
    }

    /// The first section of a profile.
    pub fn profile(&self, profile: &str) -> Option<&Section> {
        self.of(profile).into_iter().next()
    }

    /// All sections of a profile.
    pub fn of(&self, profile: &str) -> Vec<&Section> {
        let is_it = |section: &&Section| section.profile.as_deref() == Some(profile);
        self.sections.iter().filter(is_it).collect()
    }

    /// A setting of a profile, the last one that there is: that is the one that counts for those who read on.
    pub fn get(&self, profile: &str, key: &str) -> Option<(&str, Place)> {
        let mut settings = self.of(profile).into_iter().flat_map(|section| &section.settings);
        let found = settings.rfind(|setting| setting.key == key)?;
        Some((&found.value, self.at(found.line)))
    }

    /// A line of this file.
    pub fn at(&self, line: usize) -> Place {
        Place::Line(self.path.clone(), line)
    }
}

impl SharedFiles {
    /// What a strict reader stumbles over first: a section or a setting that is there twice, a line that is neither.
    pub fn stumbling_block(&self) -> Option<(String, Place)> {
        [&self.config, &self.credentials].into_iter().find_map(|file| {
            if let Some(line) = file.odd.first() {
                return Some(("a line that is no setting".to_owned(), file.at(*line)));
            }
            let twice = file.sections.iter().enumerate().find_map(|(n, section)| {
                let before = &file.sections[..n];
                if before.iter().any(|earlier| earlier.header == section.header) {
                    return Some((format!("[{}] is there twice", section.header), section.line));
                }
                section.settings.iter().enumerate().find_map(|(n, setting)| {
                    let mut before = section.settings[..n].iter();
                    before.any(|earlier| earlier.key == setting.key).then(|| {
                        let why = format!("{} is there twice in one section", setting.key);
                        (why, setting.line)
                    })
                })
            });
            twice.map(|(why, line)| (why, file.at(line)))
        })
    }
}
