//! What the scheduler is doing, for `status`.

use jiff::Timestamp;
use rotakey_core::rotation::WaitingFor;
use serde_json::{Value, json};

use crate::wording::rfc3339;

/// What holds a profile back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// AWS cannot be reached.
    Offline,
    /// The clock is off.
    Clock,
    /// It is quiet.
    QuietHours,
    /// Other profiles are at work.
    Turn,
    /// Something failed, and is tried again.
    Backoff,
    /// Another process rotates.
    Busy,
    /// A copy of the key in AWS's shared files, which most SDKs take before what rotakey serves.
    Copy,
    /// A person has to do something.
    Person,
    /// Leases on the old key.
    Leases,
    /// Unknown holders of the old key.
    Observation,
    /// Somebody outside who uses the old key.
    Straggler,
    /// The soak.
    Soak,
    /// An orphan's time.
    Orphan,
    /// An MFA code.
    Mfa,
}

impl Why {
    /// As `waits_for` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Clock => "clock",
            Self::QuietHours => "quiet hours",
            Self::Turn => "turn",
            Self::Backoff => "backoff",
            Self::Busy => "another process",
            Self::Copy => "a plaintext copy",
            Self::Person => "a person",
            Self::Leases => "leases",
            Self::Observation => "observation",
            Self::Straggler => "straggler",
            Self::Soak => "soak",
            Self::Orphan => "orphan",
            Self::Mfa => "mfa",
        }
    }
}

impl From<&WaitingFor> for Why {
    fn from(waiting_for: &WaitingFor) -> Self {
        match waiting_for {
            WaitingFor::Leases => Self::Leases,
            WaitingFor::Observation => Self::Observation,
            WaitingFor::Straggler(..) => Self::Straggler,
            WaitingFor::Soak => Self::Soak,
            WaitingFor::Orphan => Self::Orphan,
            WaitingFor::Mfa(_) | WaitingFor::NextMfaCode => Self::Mfa,
            WaitingFor::QuietHours => Self::QuietHours,
            // The others are waited for within a run.
            _ => Self::Backoff,
        }
    }
}

/// What the scheduler is doing about one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// When the next rotation is due, if none is open and the key's age is known.
    pub due: Option<Timestamp>,
    /// When it looks again.
    pub next_look: Option<Timestamp>,
    /// What it waits for.
    pub waits_for: Option<Why>,
    /// Until when, as far as that is known.
    pub until: Option<Timestamp>,
    /// More, for a person.
    pub detail: Option<String>,
    /// Failures in a row.
    pub failures: u32,
}

impl View {
    /// As the control socket shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "due": self.due.map(rfc3339),
            "next_look": self.next_look.map(rfc3339),
            "waits_for": self.waits_for.map(Why::name),
            "until": self.until.map(rfc3339),
            "detail": self.detail,
            "failures": self.failures,
        })
    }
}
