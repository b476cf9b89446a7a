//! One thing that was looked at: what it is, what was found, and what to do about it.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, and somebody should know.
    Warning,
    /// A program can end up with no key, or with one that rotakey does not replace.
    Bad,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which check, by its name in [`CHECKS`].
    pub id: &'static str,
    /// The profile it is about, if it is about one.
    pub profile: Option<String>,
    /// The SDK or the source it is about, if it is about one.
    pub subject: Option<String>,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and where.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The command that does it, for a shell.
    pub command: Option<String>,
    /// The keystore or the agent cannot be reached.
    #[serde(skip)]
    pub is_unreachable: bool,
}

impl Check {
    fn new(id: &'static str, verdict: Verdict, found: impl Into<String>) -> Self {
        debug_assert!(CHECKS.iter().any(|(known, ..)| *known == id), "{id} is not in the table");
        Self {
            id,
            profile: None,
            subject: None,
            verdict,
            found: found.into(),
            hint: None,
            command: None,
            is_unreachable: false,
        }
    }

    /// As it should be.
    pub fn ok(id: &'static str, found: impl Into<String>) -> Self {
        Self::new(id, Verdict::Ok, found)
    }

    /// Works, and somebody should know.
    pub fn warning(id: &'static str, found: impl Into<String>) -> Self {
        Self::new(id, Verdict::Warning, found)
    }

    /// Not as it should be.
    pub fn bad(id: &'static str, found: impl Into<String>) -> Self {
        Self::new(id, Verdict::Bad, found)
    }

    /// With advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the command that mends it.
    #[must_use]
    pub fn run(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// About one SDK or source.
    #[must_use]
    pub fn of(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The keystore or the agent cannot be reached.
    #[must_use]
    pub fn unreachable(mut self) -> Self {
        self.is_unreachable = true;
        self
    }
}

/// Every check: its id, its group, what it proves.
pub const CHECKS: [(&str, &str, &str); 27] = [
    ("env.keys", "environment", "no key stands in the environment, where every SDK looks first"),
    (
        "env.identity",
        "environment",
        "no web identity stands in the environment, which some SDKs take before a profile",
    ),
    ("env.profile", "environment", "AWS_PROFILE, if set, names a profile of rotakey"),
    ("env.files", "environment", "the shared files are where the environment says"),
    ("env.container", "environment", "one container variable at most, and it leads to the agent"),
    ("env.token", "environment", "the container token is there, current, the same in both forms"),
    (
        "env.imds",
        "environment",
        "the address of IMDS leads to the agent, in the form that all take",
    ),
    ("env.proxy", "environment", "nothing for this machine goes through a proxy"),
    ("env.endpoints", "environment", "endpoint_url of the profile is not switched off"),
    ("files.form", "shared files", "every SDK can read both files: nothing is there twice"),
    ("files.keys", "shared files", "no key stands in the profile beside credential_process"),
    ("files.copies", "shared files", "no other profile holds a copy of a managed key"),
    (
        "files.line",
        "shared files",
        "credential_process is there, runs this rotakey, names the profile",
    ),
    ("files.modes", "shared files", "nobody else may write them, nor read what is secret"),
    (
        "leftovers",
        "shared files",
        "no other tool's file (`.s3cfg`, `rclone.conf`, ...) holds a managed key",
    ),
    ("programs", "programs", "each SDK's chain ends at rotakey"),
    ("clients", "programs", "with --run-clients: the AWS CLI and boto3 of PATH say the same"),
    ("sources", "sources", "each source that is on serves the key that the journal says"),
    ("account.key", "account", "AWS takes the key, and it is the user's"),
    ("account.permissions", "account", "all that a rotation needs is allowed"),
    (
        "account.cis",
        "account",
        "the key's age, and that it is the only active one (CIS 1.13, 1.14)",
    ),
    ("rotation", "account", "no rotation waits for a person"),
    ("clock", "machine", "the clock agrees with AWS's"),
    ("keystore", "machine", "the keystore keeps, gives back and deletes an item, unlocked"),
    ("agent", "machine", "it runs, answers, is this version, and has read this configuration"),
    ("port", "machine", "the agent's port is the agent's"),
    ("state", "machine", "rotakey's folders are private and their disk has room"),
];

#[cfg(test)]
mod tests {
    use super::CHECKS;
    use crate::chains;

    /// The document's tables are made here.
    #[test]
    fn the_document_is_as_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doctor.md");
        let path = std::path::Path::new(path);
        let read = || crate::store::disk::read(path).expect("readable").unwrap_or_default();
        let text = String::from_utf8(read()).expect("text");
        let mark = "## What is looked at\n";
        let (head, _) = text.split_once(mark).expect("the heading");
        let mut made = format!("{head}{mark}\n| check | what it proves |\n| --- | --- |\n");
        for (id, _, what) in CHECKS {
            made.push_str(&format!("| `{id}` | {what} |\n"));
        }
        made.push_str(
            "\n## The SDKs\n\n| SDK | read in | when it finds nothing |\n| --- | --- | --- |\n",
        );
        for sdk in &chains::ALL {
            let limit = sdk.limit.unwrap_or_default();
            made.push_str(&format!("| {} | {} | {limit} |\n", sdk.name, sdk.source));
        }
        if std::env::vars_os().any(|(name, _)| name == "UPDATE") {
            crate::store::disk::replace(path, made.as_bytes()).expect("writable");
        }
        let document = String::from_utf8(read()).expect("text");
        assert!(document == made, "run: UPDATE=1 cargo test the_document_is_as");
    }
}
