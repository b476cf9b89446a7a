//! Before anything is changed: who are we, is there room for a second key, is everything allowed, does the
//! keystore keep what it is given, and are we alone?

use super::{Command, Context, Ending, Event, Goal, State, Turn, create};
use crate::credential::{AccessKeyId, KeyStatus};
use crate::iam::{KeyList, Refusal, RefusalClass};
use crate::journal::{Reason, Record};

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
    list: Option<KeyList>,
    check: Check,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Check {
    Identity,
    List,
    Simulate,
    /// Where the simulation does not answer: calls that change nothing.
    LastUsed,
    Update,
    Delete,
    Keystore,
    Tags,
    TagUser,
    TagsAgain,
    /// What was begun is being closed, as it cannot go on.
    Abandon,
}

impl Preflight {
    pub(crate) fn enter(cx: &Context<'_>) -> Turn {
        let Some(current) = &cx.status.current else {
            return Turn::bug("preflight without a key", &Event::Woke);
        };
        let command = cx.identify(&current.id);
        let preflight = Self {
            key: current.id.clone(),
            findings: Vec::new(),
            list: None,
            check: Check::Identity,
        };
        Turn::new(State::Preflight(preflight), command)
    }

    pub(crate) fn on_event(mut self, cx: &Context<'_>, event: Event) -> Turn {
        match (self.check.clone(), event) {
            (Check::Identity, Event::Identified(identity)) => {
                if !cx.is_our_user(&identity) {
                    self.findings.push(Finding::OtherUser(identity.arn));
                    return self.conclude(cx);
                }
                let signer = self.key.clone();
                self.ask(Check::List, Command::List { signer })
            }
            (Check::List, Event::Listed(list)) => self.listed(cx, list),
            (Check::List, Event::Refused(refusal)) if refusal.class.is_authenticated() => {
                self.missing("iam:ListAccessKeys", &refusal);
                self.conclude(cx)
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
                let signer = self.key.clone();
                self.ask(Check::Tags, Command::ListTags { signer })
            }
            (Check::Tags, Event::Tags(tags)) => self.tags(cx, &tags),
            (Check::Tags | Check::TagsAgain, Event::Refused(refusal)) => {
                self.findings.push(Finding::Warning(format!(
                    "iam:ListUserTags is refused ({}): a second installation would not be noticed",
                    refusal.code
                )));
                self.conclude(cx)
            }
            // Two installations that look at the same time see no tag, and both set theirs: look once more.
            (Check::TagUser, Event::Ready) => {
                let signer = self.key.clone();
                self.ask(Check::TagsAgain, Command::ListTags { signer })
            }
            (Check::TagsAgain, Event::Tags(tags)) => {
                self.note_other_install(cx, &tags);
                self.conclude(cx)
            }
            (Check::TagUser, Event::Refused(refusal)) => {
                self.findings.push(Finding::Warning(format!(
                    "iam:TagUser is refused ({}): a second installation would not be noticed",
                    refusal.code
                )));
                self.conclude(cx)
            }
            (Check::Abandon, Event::Appended) => Turn::end(Ending::Blocked(self.findings)),
            (check, event) => Turn::refused(check.action(), event, "preflight"),
        }
    }

    fn ask(mut self, check: Check, command: Command) -> Turn {
        self.check = check;
        Turn::new(State::Preflight(self), command)
    }

    fn listed(mut self, cx: &Context<'_>, list: KeyList) -> Turn {
        match list.find(&self.key).map(|key| key.status) {
            Some(KeyStatus::Active) => {}
            Some(KeyStatus::Inactive) => {
                self.findings.push(Finding::KeyUnusable(format!("{} is Inactive", self.key)));
            }
            None => self
                .findings
                .push(Finding::KeyUnusable(format!("{} is not in the user's list", self.key))),
        }
        let strangers: Vec<_> = list
            .keys
            .iter()
            .map(|key| &key.access_key_id)
            .filter(|id| **id != self.key)
            .cloned()
            .collect();
        if !strangers.is_empty() {
            self.findings.push(Finding::Stranger(strangers));
        }
        self.list = Some(list);
        if self.is_blocked() && cx.task.goal != Goal::Check {
            return self.conclude(cx);
        }
        let signer = self.key.clone();
        self.ask(Check::Simulate, Command::Simulate { signer })
    }

    fn tags(mut self, cx: &Context<'_>, tags: &[(String, String)]) -> Turn {
        self.note_other_install(cx, tags);
        let is_set = tags.iter().any(|(key, _)| *key == cx.task.tag);
        if is_set || self.is_blocked() || cx.task.goal == Goal::Check {
            return self.conclude(cx);
        }
        let signer = self.key.clone();
        self.ask(Check::TagUser, Command::Tag { signer, describes: None })
    }

    fn note_other_install(&mut self, cx: &Context<'_>, tags: &[(String, String)]) {
        let other = other_install(tags, &cx.task.tag).map(str::to_owned);
        self.findings.extend(other.map(Finding::SecondInstall));
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
        if !quarantined && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| !finding.is_warning())
    }

    fn conclude(self, cx: &Context<'_>) -> Turn {
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
        let Some(list) = self.list else {
            return Turn::bug("preflight without a list", &Event::Woke);
        };
        if cx.status.rotation.is_none() {
            let reason = match cx.task.goal {
                Goal::Rotate(reason) => reason,
                _ => Reason::Forced,
            };
            return create::Create::begin(cx, list, reason);
        }
        create::Create::intend(cx, &list)
    }
}

impl Check {
    fn action(&self) -> &'static str {
        match self {
            Self::Identity => "sts:GetCallerIdentity",
            Self::List => "iam:ListAccessKeys",
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
