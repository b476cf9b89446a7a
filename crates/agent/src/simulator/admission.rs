//! Who is let in, and with what words the others are turned away.

use jiff::{SignedDuration, Timestamp};

use super::account::{Acceptance, Decision};
use super::answer::UseRow;
use super::identity::Identity;
use super::message::{ApiError, Request, Signature};
use super::refused::Refused;
use super::state::{Simulator, whole_seconds};

/// Whom a signature stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The long-term key, or the one at the root of the session.
    pub(super) root: String,
    /// The user whose key that is.
    pub(super) user: String,
    /// `aws:TokenIssueTime`: only temporary credentials have one.
    pub(super) issued: Option<Timestamp>,
    pub(super) via: Via,
}

/// What stands between a key and the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// Nothing.
    Key,
    /// `GetSessionToken`.
    Session { mfa: bool },
    /// `AssumeRole`.
    Role { role: String, session: String },
}

impl Caller {
    /// `aws:MultiFactorAuthPresent`: what a long-term key signs does not have it.
    fn mfa(&self) -> Option<bool> {
        match self.via {
            Via::Key => None,
            Via::Session { mfa } => Some(mfa),
            Via::Role { .. } => Some(false),
        }
    }
}

impl Simulator {
    /// Who signed, if the vantage lets it in.
    pub(super) fn authenticate(
        &mut self,
        now: Timestamp,
        request: &Request,
    ) -> Result<Caller, ApiError> {
        self.recognise(now, request).map_err(|refused| refused.in_words(request.protocol()))
    }

    fn recognise(&mut self, now: Timestamp, request: &Request) -> Result<Caller, Refused> {
        let signature = request.signature.as_ref().ok_or(Refused::Unsigned)?;
        let (id, region) = (signature.signer.as_str(), signature.region.as_str());
        if let Some(session) = self.sessions.get(id) {
            let caller = self.resume(now, session, signature)?;
            self.check_signature(now, signature)?;
            return Ok(caller);
        }
        // Only a session has a token.
        if signature.token.is_some() {
            return Err(Refused::TokenInvalid);
        }
        if !self.accepts(now, id, &request.service, region) {
            return Err(Refused::KeyUnknown);
        }
        self.check_signature(now, signature)?;
        self.record_use(now, id, &request.service, region);
        let user = self.key(id).map(|key| key.user.clone()).ok_or(Refused::KeyUnknown)?;
        Ok(Caller { root: id.to_owned(), user, issued: None, via: Via::Key })
    }

    /// Whether a vantage lets a key in just now.
    pub(super) fn accepts(
        &mut self,
        now: Timestamp,
        id: &str,
        service: &str,
        region: &str,
    ) -> bool {
        if let Some(session) = self.sessions.get(id) {
            return self.check_life(now, session).is_ok();
        }
        let Some(key) = self.key(id) else { return false };
        match key.acceptance(now, &self.behaviour, service, region) {
            Acceptance::Yes => true,
            Acceptance::No => false,
            Acceptance::Flapping => {
                !self.lot.chance(self.behaviour.seed, self.behaviour.flap_percent)
            }
        }
    }

    /// Records a use of a long-term key. Those of sessions do not count: IAM knows nothing of their keys.
    pub(super) fn record_use(&mut self, now: Timestamp, id: &str, service: &str, region: &str) {
        let at = whole_seconds(self.server_time(now));
        let row = UseRow { at, service: service.to_owned(), region: region.to_owned() };
        if let Some(key) = self.keys.iter_mut().find(|key| key.id == id) {
            key.used(now, &self.behaviour, row);
        }
    }

    fn check_signature(&self, now: Timestamp, signature: &Signature) -> Result<(), Refused> {
        if let Some(signed) = signature.signed_at {
            match signature.expires_seconds {
                None => self.check_time(now, signed)?,
                Some(seconds) => self.check_url_time(now, signed, seconds)?,
            }
        }
        if signature.is_right { Ok(()) } else { Err(Refused::Forged) }
    }

    fn check_time(&self, now: Timestamp, signed: Timestamp) -> Result<(), Refused> {
        let server = self.server_time(now);
        let (skew, minutes) = (self.skew(), self.skew().as_mins());
        let ahead = signed.duration_since(server);
        if ahead.abs() <= skew {
            return Ok(());
        }
        let text = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
        let (signed, server_text) = (text(signed), text(server));
        Err(Refused::Skewed(if ahead.is_negative() {
            let limit = text(server.checked_sub(skew).unwrap_or(server));
            format!(
                "Signature expired: {signed} is now earlier than {limit} ({server_text} - {minutes} min.)"
            )
        } else {
            let limit = text(server.checked_add(skew).unwrap_or(server));
            format!(
                "Signature not yet current: {signed} is still later than {limit} ({server_text} + {minutes} min.)"
            )
        }))
    }

    /// A signed URL is good from its time on, for as long as it says.
    fn check_url_time(
        &self,
        now: Timestamp,
        signed: Timestamp,
        seconds: u32,
    ) -> Result<(), Refused> {
        let age = self.server_time(now).duration_since(signed);
        if age > SignedDuration::from_secs(i64::from(seconds)) || -age > self.skew() {
            return Err(Refused::UrlExpired);
        }
        Ok(())
    }

    fn skew(&self) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.behaviour.max_skew).unwrap_or(i64::MAX))
    }

    /// A caller's ARN and unique id.
    pub(super) fn identity(&self, caller: &Caller) -> Result<(String, String), ApiError> {
        match &caller.via {
            Via::Key | Via::Session { .. } => {
                let row = &self.user(&caller.user)?.row;
                Ok((row.arn.clone(), row.id.clone()))
            }
            Via::Role { role, session } => {
                let id = &self.roles.get(role).ok_or_else(ApiError::key_unknown)?.id;
                let (partition, account) = (&self.behaviour.partition, &self.behaviour.account_id);
                let arn = format!("arn:{partition}:sts::{account}:assumed-role/{role}/{session}");
                Ok((arn, format!("{id}:{session}")))
            }
        }
    }

    /// Whether the caller may do this to `user` in IAM.
    pub(super) fn authorize(
        &self,
        caller: &Caller,
        request: &Request,
        user: &str,
    ) -> Result<(), ApiError> {
        let action = format!("iam:{}", request.action);
        let own = self.user(&caller.user)?;
        let mfa = caller.via == Via::Session { mfa: true };
        let decision = match &caller.via {
            // AWS does not say that MFA is missing: it says this (99designs/aws-vault#15, #1056).
            Via::Session { mfa: false } => return Err(ApiError::key_unknown()),
            // The simulated roles are for data.
            Via::Role { .. } => Decision::ImplicitDeny,
            Via::Key | Via::Session { .. } if own.requires_mfa && !mfa => Decision::NoMfa,
            Via::Key | Via::Session { .. } => own.decide(caller, &action),
        };
        let decision = match &own.identity {
            Some(identity) if decision == Decision::Allowed => {
                identity.decide(&own.row.name, &action, &self.target(request, user), caller.mfa())
            }
            _ => decision,
        };
        // An id that the account does not know is refused like one that the caller may not see.
        let unknown = action == "iam:GetAccessKeyLastUsed"
            && request.param("AccessKeyId").is_some_and(|id| self.key(id).is_none());
        if decision == Decision::Allowed && !unknown {
            return Ok(());
        }
        let resource = match request.action.as_str() {
            "GetAccessKeyLastUsed" => {
                format!("access key {}", request.param("AccessKeyId").unwrap_or_default())
            }
            "ListUsers" => self.arn("user/"),
            "GetAccountSummary" => "*".to_owned(),
            "SimulatePrincipalPolicy" => {
                request.param("PolicySourceArn").unwrap_or_default().to_owned()
            }
            _ => format!("user {user}"),
        };
        Err(self.denied(caller, &action, &resource, decision))
    }

    /// The ARN of what a call to IAM is about, as its policies name it.
    fn target(&self, request: &Request, user: &str) -> String {
        let arn = |name: &str| {
            self.user(name)
                .map_or_else(|_| self.arn(&format!("user/{name}")), |user| user.row.arn.clone())
        };
        match request.action.as_str() {
            "GetAccessKeyLastUsed" => {
                let key = request.param("AccessKeyId").and_then(|id| self.key(id));
                arn(key.map_or(user, |key| key.user.as_str()))
            }
            "ListUsers" => self.arn("user/"),
            "GetAccountSummary" => "*".to_owned(),
            "SimulatePrincipalPolicy" => {
                request.param("PolicySourceArn").unwrap_or_default().to_owned()
            }
            _ => arn(user),
        }
    }

    /// Whether the caller may do this at STS. Policies can forbid it, and need not allow it.
    pub(super) fn authorize_sts(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
    ) -> Result<(), ApiError> {
        let decision = match &caller.via {
            Via::Key | Via::Session { .. } => {
                let own = self.user(&caller.user)?;
                let says = |identity: &Identity| {
                    identity.decide(&own.row.name, action, resource, caller.mfa())
                };
                match own.identity.as_ref().map(says) {
                    Some(Decision::ExplicitDeny) => Decision::ExplicitDeny,
                    _ => own.decide(caller, action),
                }
            }
            Via::Role { .. } => Decision::Allowed,
        };
        match decision {
            Decision::Allowed => Ok(()),
            Decision::ImplicitDeny => {
                Err(self.denied(caller, action, resource, Decision::ExplicitDeny))
            }
            decision => Err(self.denied(caller, action, resource, decision)),
        }
    }

    /// Whether the caller may do this at a service where the data is. Roles may do everything there.
    pub(super) fn authorize_data(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
    ) -> Result<(), ApiError> {
        match &caller.via {
            Via::Role { .. } => Ok(()),
            Via::Key | Via::Session { .. } => match self.user(&caller.user)?.decide(caller, action)
            {
                Decision::Allowed => Ok(()),
                decision => Err(self.denied(caller, action, resource, decision)),
            },
        }
    }

    fn denied(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
        decision: Decision,
    ) -> ApiError {
        let why = match decision {
            Decision::Allowed | Decision::ImplicitDeny => {
                format!("because no identity-based policy allows the {action} action")
            }
            Decision::NoMfa | Decision::ExplicitDeny => {
                "with an explicit deny in an identity-based policy".to_owned()
            }
            Decision::Quarantine if !self.behaviour.denials_name_policies => {
                "with an explicit deny in an identity-based policy".to_owned()
            }
            Decision::Quarantine => {
                let policy = self.quarantine_arn();
                format!("with an explicit deny in an identity-based policy: {policy}")
            }
        };
        let arn = self.identity(caller).map(|(arn, _)| arn).unwrap_or_default();
        ApiError::denied(format!(
            "User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"
        ))
    }
}
