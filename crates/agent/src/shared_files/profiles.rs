//! What two shared files say of a profile, as SDKs read them: the credentials file before the config file, the last of
//! several before the others.

use rotakey_core::credential::{AccessKeyId, SecretAccessKey};

use super::document::{Document, Property, Section};
use super::edit::KEY;
use super::process::Process;
use crate::config::check_profile_name;

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `~/.aws/credentials`, where a profile's section is `[NAME]`.
    Credentials,
    /// `~/.aws/config`, where it is `[profile NAME]`, or `[default]`.
    Config,
}

/// Both files. It holds secrets, and so cannot be printed.
pub struct Shared<'a> {
    /// The credentials file.
    pub credentials: Document<'a>,
    /// The config file.
    pub config: Document<'a>,
}

/// A long-term key that a profile holds in plaintext, and what goes with it.
pub struct Holding {
    /// The profile.
    pub profile: String,
    /// The key.
    pub id: AccessKeyId,
    /// Its secret.
    pub secret: SecretAccessKey,
    /// The region that the files name.
    pub region: Option<String>,
    /// The URL of the profile's IAM, if it is not AWS's.
    pub iam_url: Option<String>,
    /// The URL of its STS.
    pub sts_url: Option<String>,
    /// Where the lines are that hold it: in which file, on which line, from 1.
    pub places: Vec<(Kind, usize)>,
    /// `credential_process` runs rotakey already.
    pub has_line: bool,
}

/// What can be done with a profile.
pub enum Standing {
    /// It can be taken.
    Holds(Box<Holding>),
    /// It cannot, and why.
    Left(String),
}

impl Kind {
    /// The profile whose section this is; `None` if it is something else's, or not one that every SDK reads.
    pub fn profile(self, section: &[u8]) -> Option<String> {
        let name = std::str::from_utf8(section).ok()?;
        if self == Self::Credentials {
            // For configparser, what stands in [DEFAULT] holds for every section.
            return Some(name.trim()).filter(|name| *name != "DEFAULT").map(str::to_owned);
        }
        if name == "default" {
            return Some(name.to_owned());
        }
        let rest = name.strip_prefix("profile")?;
        let name = rest.trim();
        if rest.len() == name.len() || name.is_empty() {
            return None;
        }
        for quote in ['"', '\''] {
            if let Some(inner) = name.strip_prefix(quote).and_then(|n| n.strip_suffix(quote)) {
                return Some(inner.to_owned());
            }
        }
        (!name.contains(char::is_whitespace)).then(|| name.to_owned())
    }

    /// The sections of a profile in a file of this kind, by number.
    pub fn sections<'d>(
        self,
        document: &'d Document<'_>,
        profile: &'d str,
    ) -> impl Iterator<Item = (usize, &'d Section)> {
        let of = move |section: &Section| self.profile(&section.name).is_some_and(|p| p == profile);
        document.sections.iter().enumerate().filter(move |(_, section)| of(section))
    }
}

impl<'a> Shared<'a> {
    /// Cuts both files.
    pub fn parse(credentials: &'a [u8], config: &'a [u8]) -> Self {
        Self { credentials: Document::parse(credentials), config: Document::parse(config) }
    }

    /// The file of a kind.
    pub fn document(&self, kind: Kind) -> &Document<'a> {
        match kind {
            Kind::Credentials => &self.credentials,
            Kind::Config => &self.config,
        }
    }

    /// Every profile, once, in the order in which they stand, the credentials file first.
    pub fn profiles(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for kind in [Kind::Credentials, Kind::Config] {
            for section in &self.document(kind).sections {
                let name = kind.profile(&section.name);
                names.extend(name.filter(|name| seen.insert(name.clone())));
            }
        }
        names
    }

    /// Every property of that name that a profile has, the one that counts last.
    fn all<'s>(
        &'s self,
        profile: &'s str,
        name: &'s str,
    ) -> impl Iterator<Item = (Kind, &'s Property)> {
        [Kind::Config, Kind::Credentials].into_iter().flat_map(move |kind| {
            let sections = kind.sections(self.document(kind), profile);
            sections.flat_map(move |(_, section)| {
                let named = section.properties.iter().filter(move |p| p.name == name);
                named.map(move |property| (kind, property))
            })
        })
    }

    /// What a profile says of something; `None` if nothing, or nothing that can be read.
    pub fn text<'s>(&'s self, profile: &'s str, name: &'s str) -> Option<&'s str> {
        let (_, property) = self.all(profile, name).last()?;
        property.text().filter(|text| !text.is_empty())
    }

    /// Where the profile's `credential_process` runs rotakey: in which file, on which line, from 1.
    pub fn rotakey_line(&self, profile: &str) -> Option<(Kind, usize)> {
        let (kind, property) = self.all(profile, "credential_process").last()?;
        let is_ours = property.text().is_some_and(|line| Process::read(line).serves(profile));
        is_ours.then_some((kind, property.lines.start + 1))
    }

    /// Whether a profile holds a long-term key that can be taken, and if not, why.
    pub fn standing(&self, profile: &str) -> Standing {
        let left = |why: &str| Standing::Left(why.to_owned());
        for (name, why) in [
            ("role_arn", "a role: its source profile holds the key"),
            ("web_identity_token_file", "a role, by a web identity"),
            ("sso_session", "sso: it holds no key"),
            ("sso_start_url", "sso: it holds no key"),
            ("sso_account_id", "sso: it holds no key"),
            ("login_session", "`aws login`: it holds no key"),
        ] {
            if self.all(profile, name).next().is_some() {
                return left(why);
            }
        }
        let process = self.all(profile, "credential_process").last();
        let line = process.map(|(_, property)| property.text());
        if line == Some(None) {
            return left("its credential_process goes over several lines, or is no text");
        }
        let process = line.flatten().map(Process::read);
        let has_line = process.as_ref().is_some_and(|process| process.serves(profile));
        if let Some(process) = process.filter(|_| !has_line) {
            let what = match process.is_rotakey() {
                true => "rotakey for another profile",
                false => process.shown(),
            };
            return Standing::Left(format!("its credential_process runs something else: {what}"));
        }
        if ["aws_session_token", "aws_security_token"]
            .iter()
            .any(|t| self.text(profile, t).is_some())
        {
            return left("temporary credentials: there is a session token");
        }
        match (self.only(profile, KEY[0]), self.only(profile, KEY[1])) {
            (Only::None, Only::None) if has_line => left("rotakey serves it already"),
            (Only::None, Only::None) => left("no key of its own"),
            (Only::None, _) | (_, Only::None) => {
                left("half a key: the id or the secret is missing")
            }
            (Only::Unreadable, _) | (_, Only::Unreadable) => {
                left("its key goes over several lines, or is no text")
            }
            (Only::Several, _) | (_, Only::Several) => left(
                "two different keys in it: which one counts depends on who reads; remove the wrong one",
            ),
            (Only::One(id), Only::One(secret)) => self.holding(profile, id, secret, has_line),
        }
    }

    fn holding(&self, profile: &str, id: &str, secret: &str, has_line: bool) -> Standing {
        let left = |why: String| Standing::Left(why);
        if id.starts_with("ASIA") {
            return left("temporary credentials: an id that begins with ASIA".to_owned());
        }
        let is_long_term = id.starts_with("AKIA") && id.len() >= 16;
        let Some(id) = id.parse().ok().filter(|_| is_long_term) else {
            return left("not an IAM user's key: its id does not begin with AKIA".to_owned());
        };
        if secret.contains(char::is_whitespace) {
            return left("its secret has blanks in it".to_owned());
        }
        if let Err(error) = check_profile_name(profile) {
            return left(format!("{}: {}", error.message, error.hint));
        }
        let places = KEY.iter().flat_map(|name| self.all(profile, name));
        let mut places: Vec<_> = places.map(|(kind, p)| (kind, p.lines.start + 1)).collect();
        places.sort_unstable();
        Standing::Holds(Box::new(Holding {
            profile: profile.to_owned(),
            id,
            secret: SecretAccessKey::new(secret.to_owned()),
            region: self.text(profile, "region").map(str::to_owned),
            iam_url: self.url(profile, "iam"),
            sts_url: self.url(profile, "sts"),
            places,
            has_line,
        }))
    }

    /// The one value that all of the profile's properties of that name have.
    fn only<'s>(&'s self, profile: &'s str, name: &'s str) -> Only<'s> {
        let mut only = Only::None;
        for (_, property) in self.all(profile, name) {
            only = match (property.text(), only) {
                (None, _) | (_, Only::Unreadable) => Only::Unreadable,
                (Some(""), before) => before,
                (Some(text), Only::None) => Only::One(text),
                (Some(text), Only::One(before)) if text == before => Only::One(text),
                (Some(_), _) => Only::Several,
            };
        }
        only
    }

    /// Where a service of the profile is, if it is not AWS's.
    fn url(&self, profile: &str, service: &str) -> Option<String> {
        let ignored = self.text(profile, "ignore_configured_endpoint_urls");
        if ignored.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return None;
        }
        let own = self.text(profile, "services").and_then(|services| {
            let of = |section: &&Section| services_of(&section.name).as_deref() == Some(services);
            let mut sections = self.config.sections.iter().filter(of);
            let settings = sections.by_ref().flat_map(|section| &section.properties);
            let setting = settings.filter(|property| property.name == service).last()?;
            self.config.nested(setting, "endpoint_url")
        });
        own.or_else(|| self.text(profile, "endpoint_url").map(str::to_owned))
    }
}

enum Only<'a> {
    None,
    One(&'a str),
    Several,
    Unreadable,
}

/// The name of a `[services NAME]` section.
fn services_of(section: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(section).ok()?.strip_prefix("services")?;
    let trimmed = name.trim();
    (trimmed.len() < name.len()).then(|| trimmed.trim_matches(['"', '\'']).to_owned())
}
