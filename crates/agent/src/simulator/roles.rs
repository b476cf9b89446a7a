//! Roles, and who may take one on.

use super::admission::{Caller, Via};
use super::message::{ApiError, Request};
use super::state::Simulator;

/// AWS's longest session of a role taken on by a session of a role.
const CHAINED_SECONDS_MAX: u64 = 3600;

/// Who may take a role on, and how.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    pub(super) principals: Vec<String>,
    pub(super) external_id: Option<String>,
    pub(super) max_seconds: u64,
    pub(super) requires_mfa: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) trust: Trust,
}

impl Simulator {
    pub(super) fn create_role(
        &mut self,
        name: &str,
        path: &str,
        trust: Trust,
    ) -> Result<String, ApiError> {
        if self.roles.contains_key(name) {
            let message = format!("Role with name {name} already exists.");
            return Err(ApiError::new(409, "EntityAlreadyExists", message));
        }
        if !(path.starts_with('/') && path.ends_with('/')) {
            return Err(ApiError::invalid("a path begins and ends with '/'"));
        }
        let arn = self.arn(&format!("role{path}{name}"));
        let id = self.lot.id(self.behaviour.seed, "AROA");
        let role = Role { name: name.to_owned(), id, arn: arn.clone(), trust };
        self.roles.insert(name.to_owned(), role);
        Ok(arn)
    }

    /// The role that a caller asks for, if its trust policy lets it. A role that does not exist is refused in
    /// the same words.
    pub(super) fn trusted(
        &self,
        caller: &Caller,
        mfa: bool,
        request: &Request,
        role_arn: &str,
    ) -> Result<Role, ApiError> {
        let role = self.roles.values().find(|role| role.arn == role_arn).filter(|role| {
            let Trust { principals, external_id, requires_mfa, .. } = &role.trust;
            let named = self.names(caller);
            principals.iter().any(|principal| named.contains(principal))
                && external_id.as_deref().is_none_or(|id| request.param("ExternalId") == Some(id))
                && (mfa || !requires_mfa)
        });
        role.cloned().ok_or_else(|| {
            let arn = self.identity(caller).map(|(arn, _)| arn).unwrap_or_default();
            ApiError::denied(format!(
                "User: {arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
            ))
        })
    }

    /// What a trust policy may call a caller.
    fn names(&self, caller: &Caller) -> Vec<String> {
        let mut names = vec!["*".to_owned(), self.arn("root")];
        names.extend(self.identity(caller).map(|(arn, _)| arn));
        if let Via::Role { role, .. } = &caller.via {
            names.extend(self.roles.get(role).map(|role| role.arn.clone()));
        }
        names
    }
}

/// How long a session of a role lasts.
pub(super) fn session_seconds(
    request: &Request,
    role: &Role,
    caller: &Caller,
    seconds_min: u64,
) -> Result<u64, ApiError> {
    let max = role.trust.max_seconds;
    let seconds = super::sessions::seconds(request, seconds_min, 43_200)?;
    let Some(seconds) = seconds else { return Ok(max.min(CHAINED_SECONDS_MAX)) };
    if matches!(caller.via, Via::Role { .. }) && seconds > CHAINED_SECONDS_MAX {
        return Err(ApiError::invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining",
        ));
    }
    if seconds > max {
        return Err(ApiError::invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(seconds)
}

/// The names of sessions that AWS takes: `[\w+=,.@-]`, 2 to 64 of them.
pub(super) fn session_name(request: &Request) -> Result<&str, ApiError> {
    let name = super::state::need(request, "RoleSessionName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let why = if !name.chars().all(allowed) {
        "satisfy regular expression pattern: [\\w+=,.@-]*"
    } else if name.len() < 2 {
        "have length greater than or equal to 2"
    } else if name.len() > 64 {
        "have length less than or equal to 64"
    } else {
        return Ok(name);
    };
    Err(ApiError::invalid(format!(
        "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy \
         constraint: Member must {why}"
    )))
}
