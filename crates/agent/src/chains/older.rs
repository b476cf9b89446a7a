//! Files of boto 2 and of the first EC2 tools: botocore looks there still, before it asks an endpoint.

use std::path::Path;

use super::files::{File, Section, Setting};
use super::{Answer, Place};
use crate::config::Env;
use crate::shared_files::Kind;

/// The file of the first EC2 tools.
const CREDENTIAL_FILE: &str = "AWS_CREDENTIAL_FILE";

/// What there is of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OlderFiles {
    /// Where AWS_CREDENTIAL_FILE leads: lines of `AWSAccessKeyId = …`, without a section.
    credential_file: Option<File>,
    /// Where BOTO_CONFIG leads; else `/etc/boto.cfg`, then `~/.boto`.
    boto: Vec<File>,
}

impl OlderFiles {
    /// Reads them; `read` gives the bytes of a file, if there is one.
    pub fn read<B: AsRef<[u8]>>(env: &Env, mut read: impl FnMut(&Path) -> Option<B>) -> Self {
        let home = env.get("HOME").unwrap_or_default();
        let mut read = |path: &str| {
            let path = match path.strip_prefix("~/") {
                Some(rest) => Path::new(home).join(rest),
                None => path.into(),
            };
            read(&path).map(|bytes| (path, bytes))
        };
        let credential_file = env.get(CREDENTIAL_FILE).and_then(&mut read);
        let boto = match env.get("BOTO_CONFIG") {
            Some(path) => vec![path],
            None => vec!["/etc/boto.cfg", "~/.boto"],
        };
        let boto = boto.into_iter().filter_map(read);
        Self {
            credential_file: credential_file.map(|(path, bytes)| pairs(&path, bytes.as_ref())),
            // The same form as the credentials file's.
            boto: boto
                .map(|(path, bytes)| File::read(Kind::Credentials, &path, bytes.as_ref()))
                .collect(),
        }
    }

    /// The key that botocore finds there.
    pub(super) fn key(&self, env: &Env) -> Option<Answer> {
        if let Some(path) = env.get(CREDENTIAL_FILE) {
            let Some(file) = &self.credential_file else {
                let why = format!("there is no file {path}");
                return Some(Answer::Fails { why, at: Some(Place::Variable(CREDENTIAL_FILE)) });
            };
            if let Some(found) = key(file, "", "AWSAccessKeyId", "AWSSecretKey") {
                return Some(found);
            }
        }
        self.boto
            .iter()
            .find_map(|file| key(file, "Credentials", "aws_access_key_id", "aws_secret_access_key"))
    }
}

/// `name=value` lines; others are passed over (botocore's `parse_key_val_file`).
fn pairs(path: &Path, bytes: &[u8]) -> File {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().enumerate().filter_map(|(at, line)| {
        let (key, value) = line.split_once('=')?;
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        Some(Setting { key, value, line: at + 1 })
    });
    let section =
        Section { header: String::new(), profile: None, line: 1, settings: lines.collect() };
    File { path: path.to_owned(), sections: vec![section], odd: Vec::new() }
}

fn key(file: &File, header: &str, id: &str, secret: &str) -> Option<Answer> {
    let of = |name: &str| {
        let sections = file.sections.iter().filter(|section| section.header == header);
        let mut settings = sections.flat_map(|section| &section.settings);
        settings.rfind(|setting| setting.key == name)
    };
    let id = of(id)?;
    let at = file.at(id.line);
    Some(match of(secret) {
        Some(_) => Answer::Key { access_key_id: id.value.clone(), at },
        None => {
            let why = "there is no secret with it".to_owned();
            Answer::Fails { why, at: Some(at) }
        }
    })
}
