//! Before anything is changed: who are we, are we alone, is there room for a second key, is everything allowed,
//! and does the keystore keep what it is given?
//!
//! That this installation is here is said first, whatever comes of the rest: another one that is about to retire
//! the key which this one serves looks for it. The list that the intent to create names is read last.

use super::{Command, Context, Ending, Event, Goal, State, Turn, create};
use crate::credential::{AccessKeyId, KeyStatus};
use crate::iam::{KeyList, Refusal, RefusalClass};
use crate::journal::{Act, Reason, Record};

/// What a rotation needs on the user itself.
pub const ACTIONS: [&str; 5] = [
    "iam:CreateAccessKey",
    "iam:ListAccessKeys",
    "iam:UpdateAccessKey",
    "iam:DeleteAccessKey",
    "iam:GetAccessKeyLastUsed",
];

/// Something that stands in the way of a rotation, or is worth saying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The key is not the user's that the profile was added for.
    OtherUser(String),
    /// The profile's key is not Active, or not there.
    KeyUnusable(String),
    /// The quota is filled by keys that are not ours.
    Stranger(Vec<AccessKeyId>),
    /// An action that a rotation needs is denied.
    Missing(String),
    /// AWS quarantined the user: the key leaked.
    Quarantined(String),
    /// Another installation rotates this user's keys.
    SecondInstall(String),
    /// Not in the way, but somebody should know.
    Warning(String),
}

impl Finding {
    /// Whether a rotation can go on in spite of it.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Warning(_))
    }
}

/// The checks, one after the other.
#[derive(Clone, Debug)]
pub struct Preflight {
    key: AccessKeyId,
    findings: Vec<Finding>,
    check: Check,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Check {
    Identity,
    Tags,
    TagUser,
    TagsAgain,
    List,
    Simulate,
    /// Where the simulation does not answer: calls that change nothing.
    LastUsed,
    Update,
    Delete,
    Keystore,
    ListAgain,
    /// What was begun is being closed, as it cannot go on.
    Abandon,
}

impl Preflight {
    pub(crate) fn enter(cx: &Context<'_>) -> Turn {
        let Some(current) = &cx.status.current else {
            return Turn::bug("preflight without a key", &Event::Woke);
        };
        if cx.status.withdrawn.is_some() {
            let why = format!("{} leaked, and was taken out of service", current.id);
            let findings = vec![Finding::KeyUnusable(why)];
            return Turn::end(match cx.task.goal {
                Goal::Check => Ending::Checked(findings),
                _ => Ending::Blocked(findings),
            });
        }
        let command = cx.identify(&current.id);
        let preflight =
            Self { key: current.id.clone(), findings: Vec::new(), check: Check::Identity };
        Turn::new(State::Preflight(preflight), command)
    }

    pub(crate) fn on_event(mut self, cx: &Context<'_>, event: Event) -> Turn {
        match (self.check.clone(), event) {
            (Check::Identity, Event::Identified(identity)) => {
                if !cx.is_our_user(&identity) {
                    self.findings.push(Finding::OtherUser(identity.arn));
                    return self.conclude(cx, None);
                }
                let signer = self.key.clone();
                self.ask(Check::Tags, Command::ListTags { signer })
            }
            (Check::Tags, Event::Tags(tags)) => self.tags(cx, &tags),
            (Check::Tags | Check::TagsAgain, Event::Refused(refusal))
                if !refusal.class.is_about_the_signer() =>
            {
                self.unnoticed("iam:ListUserTags", &refusal);
                self.list(cx)
            }
            // Two installations that look at the same time see no tag, and both set theirs: look once more.
            (Check::TagUser, Event::Ready) => {
                let signer = self.key.clone();
                self.ask(Check::TagsAgain, Command::ListTags { signer })
            }
            (Check::TagUser, Event::Refused(refusal)) if !refusal.class.is_about_the_signer() => {
                self.unnoticed("iam:TagUser", &refusal);
                self.list(cx)
            }
            (Check::TagsAgain, Event::Tags(tags)) => {
                self.note_other_install(cx, &tags);
                self.list(cx)
            }
            (Check::List, Event::Listed(list)) => {
                self.note_keys(&list);
                if self.is_blocked() && cx.task.goal != Goal::Check {
                    return self.conclude(cx, None);
                }
                let signer = self.key.clone();
                self.ask(Check::Simulate, Command::Simulate { signer })
            }
            (Check::List | Check::ListAgain, Event::Refused(refusal))
                if refusal.class.is_authenticated() =>
            {
                self.missing("iam:ListAccessKeys", &refusal);
                self.conclude(cx, None)
            }
            (Check::Simulate, Event::Denied(denied)) if denied.is_empty() => {
                self.ask(Check::Keystore, Command::ProbeKeystore)
            }
            // Most users may not simulate, and a simulation does not say why: the calls themselves do.
            (Check::Simulate, event @ (Event::Denied(_) | Event::Refused(_))) => {
                if let Event::Denied(denied) = event {
                    self.findings.extend(denied.into_iter().map(Finding::Missing));
                }
                let (signer, id) = (self.key.clone(), self.key.clone());
                self.ask(Check::LastUsed, Command::LastUsed { signer, id })
            }
            (Check::LastUsed, event @ (Event::LastUsed(_) | Event::Refused(_))) => {
                self.note("iam:GetAccessKeyLastUsed", event);
                let (signer, id) = (self.key.clone(), self.key.clone());
                self.ask(Check::Update, Command::Update { signer, id, status: KeyStatus::Active })
            }
            (Check::Update, event @ (Event::Ready | Event::Refused(_))) => {
                self.note("iam:UpdateAccessKey", event);
                let id = made_up_id(&cx.task.rotation.0);
                let signer = self.key.clone();
                self.ask(Check::Delete, Command::Delete { signer, id })
            }
            (Check::Delete, event @ (Event::Ready | Event::Refused(_))) => {
                self.note("iam:DeleteAccessKey", event);
                self.ask(Check::Keystore, Command::ProbeKeystore)
            }
            (Check::Keystore, Event::Ready) => {
                if self.is_blocked() || cx.task.goal == Goal::Check {
                    return self.conclude(cx, None);
                }
                let signer = self.key.clone();
                self.ask(Check::ListAgain, Command::List { signer })
            }
            (Check::ListAgain, Event::Listed(list)) => {
                self.note_keys(&list);
                self.conclude(cx, Some(create::Create::act(cx, &list)))
            }
            (Check::Abandon, Event::Appended) => Turn::end(Ending::Blocked(self.findings)),
            (check, event) => Turn::refused(check.action(), event, "preflight"),
        }
    }

    fn ask(mut self, check: Check, command: Command) -> Turn {
        self.check = check;
        Turn::new(State::Preflight(self), command)
    }

    fn tags(mut self, cx: &Context<'_>, tags: &[(String, String)]) -> Turn {
        self.note_other_install(cx, tags);
        let is_set = tags.iter().any(|(key, _)| *key == cx.task.tag);
        if is_set || cx.task.goal == Goal::Check {
            return self.list(cx);
        }
        let signer = self.key.clone();
        self.ask(Check::TagUser, Command::Tag { signer, describes: None })
    }

    fn list(self, cx: &Context<'_>) -> Turn {
        if self.is_blocked() && cx.task.goal != Goal::Check {
            return self.conclude(cx, None);
        }
        let signer = self.key.clone();
        self.ask(Check::List, Command::List { signer })
    }

    fn note_other_install(&mut self, cx: &Context<'_>, tags: &[(String, String)]) {
        if let Some(other) = other_install(tags, &cx.task.tag) {
            self.add(Finding::SecondInstall(other.to_owned()));
        }
    }

    fn unnoticed(&mut self, action: &str, refusal: &Refusal) {
        self.add(Finding::Warning(format!(
            "{action} is refused ({}): a second installation would not be noticed",
            refusal.code
        )));
    }

    fn note_keys(&mut self, list: &KeyList) {
        match list.find(&self.key).map(|key| key.status) {
            Some(KeyStatus::Active) => {}
            Some(KeyStatus::Inactive) => {
                self.add(Finding::KeyUnusable(format!("{} is Inactive", self.key)));
            }
            None => {
                self.add(Finding::KeyUnusable(format!("{} is not in the user's list", self.key)));
            }
        }
        let ids = list.keys.iter().map(|key| &key.access_key_id);
        let strangers: Vec<_> = ids.filter(|id| **id != self.key).cloned().collect();
        if !strangers.is_empty() {
            self.add(Finding::Stranger(strangers));
        }
    }

    fn add(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn note(&mut self, action: &str, event: Event) {
        if let Event::Refused(refusal) = event
            && matches!(refusal.class, RefusalClass::Permission | RefusalClass::Quarantine)
        {
            self.missing(action, &refusal);
        }
    }

    fn missing(&mut self, action: &str, refusal: &Refusal) {
        let finding = if refusal.class == RefusalClass::Quarantine {
            // It is why everything else is denied.
            self.findings.retain(|finding| !matches!(finding, Finding::Missing(_)));
            Finding::Quarantined(refusal.message.clone())
        } else {
            Finding::Missing(action.to_owned())
        };
        let quarantined = self.findings.iter().any(|f| matches!(f, Finding::Quarantined(_)));
        if !quarantined {
            self.add(finding);
        }
    }

    fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| !finding.is_warning())
    }

    /// The end: with what a creation would intend, or with what stands in its way.
    fn conclude(self, cx: &Context<'_>, act: Option<Act>) -> Turn {
        if cx.task.goal == Goal::Check {
            return Turn::end(Ending::Checked(self.findings));
        }
        if self.is_blocked() {
            if cx.status.rotation.is_none() {
                return Turn::end(Ending::Blocked(self.findings));
            }
            // What was begun has changed nothing yet, or cleaned up after itself.
            let why = self.findings.iter().map(describe).collect::<Vec<_>>().join("; ");
            let command = cx.append(Record::Abandoned { why });
            return self.ask(Check::Abandon, command);
        }
        let Some(act) = act else {
            return Turn::bug("preflight without a list", &Event::Woke);
        };
        if cx.status.rotation.is_none() {
            let reason = match cx.task.goal {
                Goal::Rotate(reason) => reason,
                _ => Reason::Forced,
            };
            return create::Create::begin(cx, act, reason);
        }
        create::Create::intend(cx, act)
    }
}

impl Check {
    fn action(&self) -> &'static str {
        match self {
            Self::Identity => "sts:GetCallerIdentity",
            Self::List | Self::ListAgain => "iam:ListAccessKeys",
            Self::Simulate => "iam:SimulatePrincipalPolicy",
            Self::LastUsed => "iam:GetAccessKeyLastUsed",
            Self::Update => "iam:UpdateAccessKey",
            Self::Delete => "iam:DeleteAccessKey",
            Self::Keystore => "the keystore",
            Self::Tags | Self::TagsAgain => "iam:ListUserTags",
            Self::TagUser => "iam:TagUser",
            Self::Abandon => "the journal",
        }
    }
}

/// The tag of another installation among a user's tags, if there is one.
pub fn other_install<'a>(tags: &'a [(String, String)], ours: &str) -> Option<&'a str> {
    let mut keys = tags.iter().map(|(key, _)| key.as_str());
    keys.find(|key| key.starts_with("rotakey:") && *key != ours)
}

/// A finding in a few words.
pub fn describe(finding: &Finding) -> String {
    match finding {
        Finding::OtherUser(arn) => format!("the key belongs to {arn}"),
        Finding::KeyUnusable(why) | Finding::Warning(why) => why.clone(),
        Finding::Stranger(ids) => {
            let ids: Vec<_> = ids.iter().map(AccessKeyId::as_str).collect();
            format!("the user has a key that rotakey did not make: {}", ids.join(", "))
        }
        Finding::Missing(action) => format!("{action} is denied"),
        Finding::Quarantined(message) => format!("AWS quarantined the user: {message}"),
        Finding::SecondInstall(tag) => format!("another installation rotates this user: tag {tag}"),
    }
}

/// An id in IAM's form that no key has, to see whether deleting would be allowed.
fn made_up_id(rotation: &str) -> AccessKeyId {
    let letters: String = rotation
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(16)
        .collect::<String>()
        .to_uppercase();
    format!("AKIA{letters:X<16}").parse().expect("letters and digits make an id")
}
