//! How users and their keys are told.

use jiff::Timestamp;
use rotakey_core::credential::KeyStatus;
use serde_json::json;

use super::{Row, User};
use crate::cis::{self, findings};
use crate::failure::{Exit, Failed};
use crate::wording::counted;
use crate::wording::rfc3339;

/// No more users than these are named who could not be read.
const UNREAD_SHOWN: usize = 3;

/// Terminals that are not as wide get two lines for a key.
const WIDE: usize = 130;

/// How a key is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// All in a line.
    Wide,
    /// For a terminal of 80 columns: what rotakey and CIS say of a key stands on a line below it.
    Narrow,
}

impl Form {
    /// For a terminal of so many columns, or for what is none.
    pub(super) fn of(columns: Option<usize>) -> Self {
        if columns.is_some_and(|columns| columns < WIDE) { Self::Narrow } else { Self::Wide }
    }

    pub(super) fn header(self) -> String {
        match self {
            Self::Wide => format!(
                "{:24}  {:20}  {:8}  {:>8}  {:24}  {:24}  CIS",
                "USER", "ACCESS KEY ID", "STATUS", "AGE", "LAST USED", "ROTAKEY"
            ),
            Self::Narrow => format!(
                "{:20}  {:8}  {:>5}  {:20}  USER",
                "ACCESS KEY ID", "STATUS", "AGE", "LAST USED"
            ),
        }
    }

    /// What there is of each key, or that there is none.
    pub(super) fn text(self, user: &User, now: Timestamp) -> Vec<String> {
        if user.rows.is_empty() {
            return vec![match self {
                Self::Wide => format!("{:24}  no keys", user.name),
                Self::Narrow => format!("{:59}  {}", "no keys", user.name),
            }];
        }
        user.rows.iter().flat_map(|row| self.lines(user, row, now)).collect()
    }

    fn lines(self, user: &User, row: &Row, now: Timestamp) -> Vec<String> {
        let (id, status) = (&row.key.access_key_id, row.key.status);
        let age = format!("{}d", now.duration_since(row.key.created).as_secs() / 86_400);
        let (last, whose, verdict) = (self.last(row), whose(user, row), verdict(user, row, now));
        let name = &user.name;
        match self {
            Self::Wide => vec![format!(
                "{name:24}  {id:20}  {status:8}  {age:>8}  {last:24}  {whose:24}  {verdict}"
            )],
            Self::Narrow => vec![
                format!("{id:20}  {status:8}  {age:>5}  {last:20}  {name}"),
                format!("{:22}rotakey: {whose}; CIS: {verdict}", ""),
            ],
        }
    }

    fn last(self, row: &Row) -> String {
        match &row.used {
            Ok(Some(used)) if self == Self::Narrow => {
                format!("{} {}", used.at.strftime("%Y-%m-%d"), used.service)
            }
            Ok(Some(used)) => format!("{} {}", rfc3339(used.at), used.service),
            Ok(None) => "never".to_owned(),
            Err(why) => format!("? ({why})"),
        }
    }
}

fn whose(user: &User, row: &Row) -> String {
    match (&row.ours, &user.installs) {
        (Some((profile, stage)), _) => format!("{stage} of {profile}"),
        // Another installation rotates this user; whether this key is one of its own, its tag does not say.
        (None, Ok(installs)) => installs.first().cloned().unwrap_or_else(|| "-".to_owned()),
        (None, Err(why)) => format!("? ({why})"),
    }
}

fn verdict(user: &User, row: &Row, now: Timestamp) -> String {
    let found = findings(&row.key, &row.used, user.active(), now);
    if found.is_empty() { "ok".to_owned() } else { found.join("; ") }
}

/// An object for each key, or one without.
pub(super) fn json(user: &User, now: Timestamp) -> Vec<String> {
    let installs = user.installs.as_ref().ok();
    if user.rows.is_empty() {
        let none =
            json!({"type": "user", "user": user.name, "access_key_id": null, "installs": installs});
        return vec![none.to_string()];
    }
    let row = |row: &Row| {
        let Row { key, used, ours } = row;
        let last_used = used.as_ref().ok().and_then(Option::as_ref).map(
            |used| json!({"at": rfc3339(used.at), "service": used.service, "region": used.region}),
        );
        json!({
            "type": "key",
            "user": user.name,
            "access_key_id": key.access_key_id.as_str(),
            "status": key.status.to_string(),
            "created": rfc3339(key.created),
            "age_seconds": now.duration_since(key.created).as_secs(),
            "last_used": last_used,
            "last_used_unknown": used.as_ref().err(),
            "profile": ours.as_ref().map(|ours| &ours.0),
            "stage": ours.as_ref().map(|ours| ours.1),
            "installs": installs,
            "cis": findings(key, used, user.active(), now),
        })
        .to_string()
    };
    user.rows.iter().map(row).collect()
}

/// All users in a line.
#[derive(Default)]
pub(super) struct Summary {
    users: usize,
    without_keys: usize,
    keys: usize,
    active: usize,
    ours: usize,
    with_findings: usize,
    /// Whose last use nobody could tell: they may have findings.
    unsure: usize,
    unread: Vec<(String, String)>,
    pub(super) root: Option<Result<bool, String>>,
}

impl Summary {
    pub(super) fn count(&mut self, user: &User, now: Timestamp) {
        self.users += 1;
        self.without_keys += usize::from(user.rows.is_empty());
        for Row { key, used, ours } in &user.rows {
            self.keys += 1;
            self.active += usize::from(key.status == KeyStatus::Active);
            self.ours += usize::from(ours.is_some());
            self.unsure += usize::from(used.is_err());
            let found = findings(key, used, user.active(), now);
            self.with_findings += usize::from(!found.is_empty());
        }
    }

    pub(super) fn unread(&mut self, user: &str, why: String) {
        self.unread.push((user.to_owned(), why));
    }

    /// What root is found for, or that nobody can tell.
    fn root(&self) -> Option<String> {
        match self.root.as_ref()? {
            Ok(true) => Some(cis::ROOT.to_owned()),
            Ok(false) => None,
            Err(why) => Some(format!("whether root has keys is not known ({why})")),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut parts = vec![
            format!("{}, {} without keys", counted(self.users, "user"), self.without_keys),
            format!(
                "{}, {} active, {} of this rotakey",
                counted(self.keys, "key"),
                self.active,
                self.ours
            ),
            format!("{} with CIS findings (numbers of v1.4 to v4.0.1)", self.with_findings),
        ];
        if self.unsure > 0 {
            parts.push(format!("{} whose last use is not known", self.unsure));
        }
        parts.extend(self.root());
        parts.join("; ")
    }

    pub(super) fn json(&self) -> String {
        let unread: Vec<_> =
            self.unread.iter().map(|(user, why)| json!({"user": user, "why": why})).collect();
        json!({
            "type": "summary",
            "users": self.users,
            "users_without_keys": self.without_keys,
            "keys": self.keys,
            "active_keys": self.active,
            "own_keys": self.ours,
            "keys_with_findings": self.with_findings,
            "keys_with_unknown_last_use": self.unsure,
            "root_has_keys": self.root.as_ref().and_then(|root| root.as_ref().ok()),
            "users_not_read": unread,
        })
        .to_string()
    }

    /// Nothing, if all users were read.
    pub(super) fn whole(&self) -> Result<(), Failed> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let shown = self.unread.iter().take(UNREAD_SHOWN);
        let named: Vec<String> = shown.map(|(user, why)| format!("{user}: {why}")).collect();
        let (count, named) = (self.unread.len(), named.join("; "));
        let users = counted(count, "user");
        Err(Failed::new(Exit::Failed, format!("{users} could not be read: {named}"))
            .hint("what is above is not all; allow iam:ListAccessKeys on all users, or try again"))
    }
}
