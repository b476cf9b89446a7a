//! IAM: users, keys, tags, and what policies allow.

use jiff::Timestamp;

use super::account::{Decision, Key, State};
use super::admission::{Caller, Via};
use super::answer::{Answer, KeyRow};
use super::message::{ApiError, Request};
use super::state::{Simulator, need, whole_seconds};

/// The calls that take the user from the key, which AWS does for long-term keys only.
const IMPLIED: [&str; 4] =
    ["ListAccessKeys", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"];

impl Simulator {
    pub(super) fn iam(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &Request,
    ) -> Result<Answer, ApiError> {
        let action = request.action.as_str();
        let user = request.param("UserName").unwrap_or(&caller.user);
        self.authorize(caller, request, user)?;
        if caller.via != Via::Key && IMPLIED.contains(&action) {
            need(request, "UserName").map_err(|_| {
                ApiError::invalid("Must specify userName when calling with non-User credentials")
            })?;
        }
        match action {
            "ListAccessKeys" => self.list(now, request, user),
            "CreateAccessKey" => {
                self.create(now, user).map(|(key, secret)| Answer::Created { key, secret })
            }
            "UpdateAccessKey" | "DeleteAccessKey" => self.change(now, request, user),
            "GetAccessKeyLastUsed" => {
                let key = self.key(need(request, "AccessKeyId")?);
                let key = key.ok_or_else(ApiError::key_unknown)?;
                let last = key.last_used(now, &self.behaviour).cloned();
                Ok(Answer::LastUsed { user: key.user.clone(), last })
            }
            "GetUser" => Ok(Answer::User(self.user(user)?.row.clone())),
            "ListUsers" => {
                let rows = self.users.values().map(|user| user.row.clone()).collect();
                let (rows, marker) = self.page(request, rows, |row| &row.name)?;
                Ok(Answer::Users(rows, marker))
            }
            "GetAccountSummary" => {
                let (users, root) = (self.users.len(), usize::from(self.behaviour.root_has_key));
                Ok(Answer::Summary(vec![("Users", users), ("AccountAccessKeysPresent", root)]))
            }
            "ListUserTags" => Ok(Answer::Tags(self.user(user)?.tags.clone().into_iter().collect())),
            "TagUser" => self.tag(request, user),
            "UntagUser" => {
                let keys = request.list("TagKeys");
                self.user_mut(user)?.tags.retain(|key, _| !keys.contains(&key.as_str()));
                Ok(Answer::Empty)
            }
            "SimulatePrincipalPolicy" => self.decisions(request),
            _ => {
                if let Some(done) = self.policies(request, user) {
                    return done;
                }
                let message = format!("Could not find operation {action} for version 2010-05-08");
                Err(ApiError::new(400, "InvalidAction", message))
            }
        }
    }

    fn list(&self, now: Timestamp, request: &Request, user: &str) -> Result<Answer, ApiError> {
        self.user(user)?;
        let own = self.keys.iter().filter(|key| key.user == user);
        let keys = own.filter_map(|key| key.listed(now, self.behaviour.list_lag)).collect();
        let (keys, marker) = self.page(request, keys, |key| &key.id)?;
        Ok(Answer::Keys { user: user.to_owned(), keys, marker })
    }

    /// The part of a list that a request asks for, and where it goes on. A marker names the last row that was shown.
    fn page<T>(
        &self,
        request: &Request,
        mut rows: Vec<T>,
        name: impl Fn(&T) -> &str,
    ) -> Result<(Vec<T>, Option<String>), ApiError> {
        let most = match request.param("MaxItems") {
            None => self.behaviour.page_size,
            Some(text) => {
                text.parse().ok().filter(|most| (1..=1000).contains(most)).ok_or_else(|| {
                    ApiError::invalid("Value at 'maxItems' failed to satisfy constraint: 1 to 1000")
                })?
            }
        };
        if let Some(marker) = request.param("Marker") {
            let last = |row: &T| hex::encode(name(row)) == marker;
            let at = rows.iter().position(last);
            let at = at.ok_or_else(|| ApiError::invalid(format!("Invalid Marker: {marker}")))?;
            rows.drain(..=at);
        }
        let is_more = rows.len() > most;
        rows.truncate(most);
        let marker = rows.last().filter(|_| is_more).map(|row| hex::encode(name(row)));
        Ok((rows, marker))
    }

    /// A new key of a user, and its secret.
    pub(super) fn create(
        &mut self,
        now: Timestamp,
        user: &str,
    ) -> Result<(KeyRow, String), ApiError> {
        self.check_quota(user)?;
        let id = self.lot.id(self.behaviour.seed, &self.behaviour.key_prefix);
        let secret = self.lot.secret(self.behaviour.seed);
        let created = whole_seconds(self.server_time(now));
        let key = Key::new(id, secret.clone(), user, now, created);
        let row = key.row(rotakey_core::credential::KeyStatus::Active);
        self.keys.push(key);
        Ok((row, secret))
    }

    /// Whether a user exists and may have one more key.
    pub(super) fn check_quota(&self, user: &str) -> Result<(), ApiError> {
        self.user(user)?;
        let alive = |key: &&Key| key.user == user && key.state() != State::Deleted;
        let quota = self.behaviour.quota;
        if self.keys.iter().filter(alive).count() >= quota {
            let message = format!("Cannot exceed quota for AccessKeysPerUser: {quota}");
            return Err(ApiError::new(409, "LimitExceeded", message));
        }
        Ok(())
    }

    fn change(
        &mut self,
        now: Timestamp,
        request: &Request,
        user: &str,
    ) -> Result<Answer, ApiError> {
        let id = need(request, "AccessKeyId")?;
        let state = if request.action == "DeleteAccessKey" {
            State::Deleted
        } else {
            match need(request, "Status")? {
                "Active" => State::Active,
                "Inactive" => State::Inactive,
                other => {
                    return Err(ApiError::invalid(format!(
                        "1 validation error detected: Value '{other}' at 'status' failed to satisfy \
                         constraint: Member must satisfy enum value set: [Active, Inactive]"
                    )));
                }
            }
        };
        self.user(user)?;
        self.set_key(now, id, Some(user), state).map(|()| Answer::Empty)
    }

    /// Changes a key's state, if it exists and is `user`'s.
    pub(super) fn set_key(
        &mut self,
        now: Timestamp,
        id: &str,
        user: Option<&str>,
        state: State,
    ) -> Result<(), ApiError> {
        let own = |key: &&mut Key| {
            key.id == id
                && key.state() != State::Deleted
                && user.is_none_or(|user| user == key.user)
        };
        let key = self.keys.iter_mut().find(own).ok_or_else(|| ApiError::no_key(id))?;
        key.set(now, state);
        Ok(())
    }

    fn tag(&mut self, request: &Request, user: &str) -> Result<Answer, ApiError> {
        let tags: Vec<_> = (1..)
            .map_while(|n| {
                let key = request.param(&format!("Tags.member.{n}.Key"))?;
                let value = request.param(&format!("Tags.member.{n}.Value")).unwrap_or_default();
                Some((key.to_owned(), value.to_owned()))
            })
            .collect();
        if tags.is_empty() {
            return Err(ApiError::missing("Tags"));
        }
        self.user_mut(user)?.tags.extend(tags);
        Ok(Answer::Empty)
    }

    fn decisions(&self, request: &Request) -> Result<Answer, ApiError> {
        let arn = need(request, "PolicySourceArn")?;
        let found = self.users.values().find(|user| user.row.arn == arn);
        let user = found.ok_or_else(|| {
            ApiError::new(404, "NoSuchEntity", format!("Entity {arn} does not exist."))
        })?;
        let whose = Caller {
            root: String::new(),
            user: user.row.name.clone(),
            issued: None,
            via: Via::Key,
        };
        let resource = request.list("ResourceArns").first().copied().unwrap_or("*");
        // If nobody says whether there is MFA, the call that is asked about has no such key.
        let mfa = (1..)
            .map_while(|n| {
                let member =
                    |name: &str| request.param(&format!("ContextEntries.member.{n}.{name}"));
                Some((member("ContextKeyName")?, member("ContextKeyValues.member.1")?))
            })
            .find(|(name, _)| *name == "aws:MultiFactorAuthPresent")
            .map(|(_, value)| value == "true");
        let identity = |action: &str| match &user.identity {
            Some(identity) => identity.decide(&user.row.name, action, resource, mfa),
            None => Decision::Allowed,
        };
        let all = |action: &str| match user.decide(&whose, action) {
            Decision::Allowed => identity(action),
            decision => decision,
        };
        let decide = |action: &str| match all(action) {
            Decision::Allowed => "allowed",
            Decision::ImplicitDeny => "implicitDeny",
            Decision::Quarantine | Decision::ExplicitDeny | Decision::NoMfa => "explicitDeny",
        };
        let actions = request.list("ActionNames").into_iter();
        Ok(Answer::Decisions(actions.map(|action| (action.to_owned(), decide(action))).collect()))
    }
}
