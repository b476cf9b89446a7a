//! Whether a client did what it says: by what it got, and by what the server stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::place::{DOTS, LISTED, ODD, Sent, sha256};
use super::upstream::Upstream;

/// The user whose key signs.
const ACCOUNT: &str = "arn:aws:iam::123456789012:user";

/// What there is to judge by.
pub(crate) struct Judge<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) sent: &'a Sent,
    pub(crate) folder: &'a Path,
    /// The client's bucket.
    pub(crate) name: &'a str,
    pub(crate) user: &'a str,
    pub(crate) environment: &'a BTreeMap<String, String>,
}

type Judgement = Result<(), String>;

fn same<T: PartialEq + std::fmt::Debug>(is: T, should_be: T) -> Judgement {
    if is == should_be { Ok(()) } else { Err(format!("{is:?} instead of {should_be:?}")) }
}

impl Judge<'_> {
    /// The judgement on one act.
    pub(crate) fn judge(&self, act: &str) -> Judgement {
        // restic stores what is its own: what it gave back is what there is to see.
        let is_packed = self.name.starts_with("restic");
        match act {
            "put" if is_packed => Ok(()),
            "list" if is_packed => self.says(act, "1"),
            "stream" if is_packed => self.got(act, &self.sent.large_hash),
            "put" => self.stored(act, &self.sent.small_hash),
            "multipart" | "stream" => self.stored(act, &self.sent.large_hash),
            "get" => self.got(act, &self.sent.small_hash),
            "list" => self.listed(act, &LISTED),
            "dots" => self.keys(act, &DOTS),
            "odd" => self.keys(act, &ODD),
            "url" | "url2" => self.fetched(act),
            "dynamodb" | "sqs" => self.says(act, "ü"),
            "sts" => self.says(act, &format!("{ACCOUNT}/{}", self.user)),
            "path" => self.says(act, "function"),
            "kinesis" => self.says(act, "stream"),
            _ => unreachable!("{act}"),
        }
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, String> {
        std::fs::read(self.folder.join(file)).map_err(|error| format!("{file}: {error}"))
    }

    fn says(&self, file: &str, should_be: &str) -> Judgement {
        same(String::from_utf8_lossy(&self.read(file)?).as_ref(), should_be)
    }

    fn got(&self, file: &str, hash: &str) -> Judgement {
        same(&*sha256(&self.read(file)?), hash)
    }

    fn stored(&self, key: &str, hash: &str) -> Judgement {
        let objects = self.upstream.objects(self.name);
        same(objects.get(key).map(|(_, hash)| &**hash), Some(hash))
    }

    fn listed(&self, file: &str, should_be: &[&str]) -> Judgement {
        let mut keys: Vec<String> =
            serde_json::from_slice(&self.read(file)?).map_err(|error| error.to_string())?;
        keys.sort();
        let mut should_be = should_be.to_vec();
        should_be.sort_unstable();
        same(keys.iter().map(String::as_str).collect::<Vec<_>>(), should_be)
    }

    /// Every key's object holds the key's name, and so does what came back.
    fn keys(&self, group: &str, keys: &[&str]) -> Judgement {
        let objects = self.upstream.objects(&format!("{}-{group}", self.name));
        let stored: BTreeMap<&str, &str> =
            objects.iter().map(|(key, (_, hash))| (&**key, &**hash)).collect();
        let hashes: Vec<String> = keys.iter().map(|key| sha256(key.as_bytes())).collect();
        let should_be: BTreeMap<&str, &str> =
            keys.iter().copied().zip(hashes.iter().map(String::as_str)).collect();
        same(stored, should_be)?;
        for (n, key) in keys.iter().enumerate() {
            self.says(&format!("{group}-{n}-back"), key)?;
        }
        self.listed(group, keys)
    }

    /// Whoever has the URL gets the object, where the client's environment leads.
    fn fetched(&self, file: &str) -> Judgement {
        let url = String::from_utf8_lossy(&self.read(file)?).into_owned();
        let mut curl = Command::new("curl");
        curl.env_clear().envs(self.environment);
        if let Some(authorities) = self.environment.get("AWS_CA_BUNDLE") {
            curl.args(["--cacert", authorities]);
        }
        curl.args(["-sS", "--max-time", "30", "--fail-with-body", url.trim()]);
        let output = curl.output().expect("curl starts");
        if !output.status.success() {
            let told = [output.stdout, output.stderr].concat();
            return Err(String::from_utf8_lossy(&told).chars().take(600).collect());
        }
        same(sha256(&output.stdout), self.sent.small_hash.clone())
    }
}
