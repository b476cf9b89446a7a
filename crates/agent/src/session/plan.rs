//! Which calls lead from a profile's key to what is served.

use std::time::Duration;

use crate::config::{Config, ConfigError, Env, MfaSettings, RoleSettings};

/// A session is renewed when less than this remains of it, as programs want 25 minutes and more.
const RENEWED_WITHIN: Duration = Duration::from_secs(30 * 60);

/// The calls, in this order: GetSessionToken, unless a role is served and no MFA is needed; then one AssumeRole
/// for each role. The key signs the first, each further one what came before.
///
/// With MFA it is always a session that assumes the first role: a code makes one session for hours, and the roles
/// assumed with it count as made with MFA as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whose STS is asked.
    pub region: String,
    /// The life of the GetSessionToken session.
    pub session_duration: Duration,
    /// What GetSessionToken is called with.
    pub mfa: Option<MfaSettings>,
    /// The roles, the served one last; none if the session itself is served.
    pub roles: Vec<RoleSettings>,
}

impl Plan {
    /// What container and IMDS callers of `profile` are given, and `process` too unless it serves the key. There
    /// is always something: at the least a session of the key's user.
    pub fn of(config: &Config, env: &Env, profile: &str) -> Result<Self, ConfigError> {
        let session = config.settings(profile, env)?.session;
        Ok(Self {
            region: config.sts_region(profile, env)?,
            session_duration: session.duration,
            mfa: session.mfa,
            roles: config.roles(profile)?,
        })
    }

    /// The role that is served, if it is one.
    pub fn role_arn(&self) -> Option<&str> {
        self.roles.last().map(|role| role.role_arn.as_str())
    }

    /// The life of what is served, as it is asked for.
    pub fn life(&self) -> Duration {
        self.roles.last().map_or(self.session_duration, RoleSettings::duration)
    }

    /// How much must remain of what is served, or it is renewed: 30 minutes, or half of a shorter life.
    pub fn margin(&self) -> Duration {
        margin(self.life())
    }
}

/// How much must remain of credentials with such a life.
pub(super) fn margin(life: Duration) -> Duration {
    RENEWED_WITHIN.min(life / 2)
}
