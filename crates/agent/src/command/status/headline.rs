//! One word for how a profile is.

use rotakey_core::journal::Open;

use super::style::Colour;
use super::view::View;
use crate::news::Kind;

/// What the scheduler waits for, where only a person can change it.
const NEEDS_A_PERSON: [&str; 3] = ["straggler", "mfa", "a person"];

/// How a profile is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Headline {
    /// The key leaked.
    Incident,
    /// A person has to decide.
    Stuck,
    /// A rotation waits for something outside, and goes on by itself when that is over.
    Held,
    /// Its files cannot be read.
    Unreadable,
    /// Older than CIS allows.
    TooOld,
    /// A rotation is under way.
    Rotating,
    /// One is being undone, or given up.
    GoingBack,
    /// The old key is Inactive, and is to be deleted.
    Soaking,
    /// It was taken back, or did not begin.
    Failed,
    /// There is no key.
    Empty,
    /// Nothing to do.
    Ok,
}

impl Headline {
    pub(super) fn of(view: &View) -> Self {
        let open = view.status.rotation.as_ref();
        let said = |kind: Kind| view.news_of_now(kind).is_some();
        let is_compromised = open.is_some_and(|open| open.compromised.is_some());
        let is_compromised = is_compromised || view.status.withdrawn.is_some();
        let stuck = open.and_then(|open| open.stuck.as_deref());
        let why = stuck.or(view.status.last_failure.as_deref()).unwrap_or_default();
        if is_compromised || said(Kind::Quarantine) || why.contains("uarantine") {
            return Self::Incident;
        }
        if stuck.is_some() {
            return Self::Stuck;
        }
        let is_held = view.held_up().is_some_and(|(what, ..)| NEEDS_A_PERSON.contains(&what));
        if is_held || (open.is_some() && said(Kind::Held)) {
            return Self::Held;
        }
        let Some(current) = &view.status.current else { return Self::Empty };
        if view.is_too_old(current) {
            return Self::TooOld;
        }
        match open {
            Some(open) => Self::under_way(open),
            None if view.status.last_failure.is_some() || view.failures() > 0 => Self::Failed,
            None => Self::Ok,
        }
    }

    pub(super) fn under_way(open: &Open) -> Self {
        if open.undone.is_some() || open.aborting.is_some() {
            Self::GoingBack
        } else if open.deactivated.is_some() && open.published.is_some() {
            Self::Soaking
        } else {
            Self::Rotating
        }
    }

    /// The word.
    pub(in crate::command) fn word(self) -> &'static str {
        match self {
            Self::Incident => "INCIDENT",
            Self::Stuck => "STUCK",
            Self::Held => "HELD",
            Self::Unreadable => "CANNOT BE READ",
            Self::TooOld => "TOO OLD",
            Self::Rotating => "rotating",
            Self::GoingBack => "going back",
            Self::Soaking => "rotating (soak)",
            Self::Failed => "FAILED",
            Self::Empty => "no key yet",
            Self::Ok => "ok",
        }
    }

    /// As data.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Stuck => "stuck",
            Self::Held => "held",
            Self::Unreadable => "unreadable",
            Self::TooOld => "too-old",
            Self::Rotating | Self::GoingBack | Self::Soaking => "rotating",
            Self::Failed => "failed",
            Self::Empty => "empty",
            Self::Ok => "ok",
        }
    }

    pub(super) fn colour(self) -> Colour {
        match self {
            Self::Ok => Colour::Good,
            Self::Rotating | Self::GoingBack | Self::Soaking | Self::Empty => Colour::Busy,
            _ => Colour::Bad,
        }
    }
}
