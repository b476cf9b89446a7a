//! Temporary credentials: `GetSessionToken`, `AssumeRole`, and what becomes of what they hand out.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::account::State;
use super::admission::{Caller, Via};
use super::answer::{Answer, AssumedRow, SessionRow};
use super::message::{ApiError, Request, Signature};
use super::refused::Refused;
use super::roles;
use super::state::{Simulator, need, whole_seconds};

/// The longest session of `GetSessionToken`, and the one of whoever does not say how long.
const USER_SECONDS: (u64, u64) = (129_600, 43_200);

/// Sessions that ended longer ago are forgotten, and then unknown: accounts are copied often.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(48);

/// Temporary credentials as the account knows them.
pub(super) struct Session {
    pub(super) row: SessionRow,
    /// Whom it stands for.
    pub(super) caller: Caller,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.row, self.caller)
    }
}

impl Simulator {
    pub(super) fn get_session_token(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &Request,
    ) -> Result<Answer, ApiError> {
        if caller.via != Via::Key {
            return Err(ApiError::denied("Cannot call GetSessionToken with session credentials"));
        }
        self.authorize_sts(caller, "sts:GetSessionToken", "*")?;
        let (max, default) = USER_SECONDS;
        let seconds = seconds(request, self.behaviour.session_seconds_min, max)?;
        let mfa = self.shows_mfa(now, request, &caller.user)?;
        let row = self.mint(now, seconds.unwrap_or(default), caller, Via::Session { mfa });
        Ok(Answer::Session(row, None))
    }

    pub(super) fn assume_role(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &Request,
    ) -> Result<Answer, ApiError> {
        let arn = need(request, "RoleArn")?;
        let name = roles::session_name(request)?;
        self.authorize_sts(caller, "sts:AssumeRole", arn)?;
        let mfa = match caller.via {
            Via::Role { .. } => false,
            Via::Session { mfa } => mfa || self.shows_mfa(now, request, &caller.user)?,
            Via::Key => self.shows_mfa(now, request, &caller.user)?,
        };
        let role = self.trusted(caller, mfa, request, arn)?;
        let floor = self.behaviour.session_seconds_min;
        let seconds = roles::session_seconds(request, &role, caller, floor)?;
        let via = Via::Role { role: role.name, session: name.to_owned() };
        let row = self.mint(now, seconds, caller, via.clone());
        let assumed = Caller { via, ..caller.clone() };
        let (arn, id) = self.identity(&assumed)?;
        Ok(Answer::Session(row, Some(AssumedRow { arn, id })))
    }

    fn mint(&mut self, now: Timestamp, seconds: u64, from: &Caller, via: Via) -> SessionRow {
        let seed = self.behaviour.seed;
        let started = whole_seconds(self.server_time(now));
        let life = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        let row = SessionRow {
            id: self.lot.id(seed, "ASIA"),
            secret: self.lot.secret(seed),
            token: self.lot.token(seed),
            expires: started.checked_add(life).unwrap_or(Timestamp::MAX),
        };
        self.sessions.retain(|_, old| started.duration_since(old.row.expires) < REMEMBERED);
        let caller = Caller { via, issued: Some(started), ..from.clone() };
        let session = Session { row: row.clone(), caller };
        self.sessions.insert(row.id.clone(), session.into());
        row
    }

    /// Whom a session stands for, if its token is right and it is alive.
    pub(super) fn resume(
        &self,
        now: Timestamp,
        session: &Session,
        signature: &Signature,
    ) -> Result<Caller, Refused> {
        // Without its token, a temporary key is one that nobody knows.
        let token = signature.token.as_ref().ok_or(Refused::KeyUnknown)?;
        let (given, own) = (token.expose().as_bytes(), session.row.token.as_bytes());
        if !bool::from(own.ct_eq(given)) {
            return Err(Refused::TokenInvalid);
        }
        if !signature.token_signed {
            return Err(Refused::Forged);
        }
        self.check_life(now, session).map(|()| session.caller.clone())
    }

    pub(super) fn check_life(&self, now: Timestamp, session: &Session) -> Result<(), Refused> {
        let root = self.key(&session.caller.root).map(|key| key.state());
        if self.behaviour.sessions_die_with_key && root != Some(State::Active) {
            return Err(Refused::KeyUnknown);
        }
        if self.server_time(now) >= session.row.expires {
            return Err(Refused::TokenExpired);
        }
        Ok(())
    }

    pub(super) fn living_sessions(&self, now: Timestamp) -> Vec<Value> {
        let living = self.sessions.values().filter(|session| self.check_life(now, session).is_ok());
        living
            .map(|session| {
                let arn = self.identity(&session.caller).map(|(arn, _)| arn).unwrap_or_default();
                json!({
                    "access_key_id": session.row.id,
                    "minted_from": session.caller.root,
                    "arn": arn,
                    "expires": session.row.expires.to_string(),
                })
            })
            .collect()
    }
}

/// `DurationSeconds`, if it is given and within bounds.
pub(super) fn seconds(request: &Request, min: u64, max: u64) -> Result<Option<u64>, ApiError> {
    let Some(text) = request.param("DurationSeconds") else { return Ok(None) };
    let bound = match text.parse::<u64>() {
        Ok(seconds) if seconds < min => format!("greater than or equal to {min}"),
        Ok(seconds) if seconds > max => format!("less than or equal to {max}"),
        Ok(seconds) => return Ok(Some(seconds)),
        Err(_) => format!("greater than or equal to {min}"),
    };
    Err(ApiError::invalid(format!(
        "1 validation error detected: Value '{text}' at 'durationSeconds' failed to satisfy \
         constraint: Member must have value {bound}"
    )))
}
