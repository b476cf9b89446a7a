//! An identity-based policy of a user, evaluated as IAM does: an explicit deny goes before an allow, and what nothing allows
//! is denied. It knows `Action`, `NotAction`, `Resource` with `${aws:username}`, and conditions on MFA; a policy that says
//! more is refused, as its meaning here would be a guess.

use serde_json::Value;

use super::account::Decision;

/// The policy.
#[derive(Clone, Debug)]
pub(super) struct Identity(Vec<Statement>);

#[derive(Clone, Debug)]
struct Statement {
    allows: bool,
    actions: Vec<String>,
    /// `NotAction`: all but these.
    negated: bool,
    resources: Vec<String>,
    mfa: Option<Mfa>,
}

/// A condition on `aws:MultiFactorAuthPresent`, which a call that is signed by a long-term key does not have.
#[derive(Clone, Copy, Debug)]
struct Mfa {
    wanted: bool,
    if_exists: bool,
}

impl Identity {
    /// Reads a policy document; says what it cannot evaluate.
    pub(super) fn parse(document: &Value) -> Result<Self, String> {
        let statements: Result<Vec<_>, _> =
            list(&document["Statement"]).iter().map(Statement::parse).collect();
        let statements = statements?;
        if statements.is_empty() || document["Version"] != "2012-10-17" {
            return Err("it has no statement, or another version than 2012-10-17".to_owned());
        }
        Ok(Self(statements))
    }

    /// What it says to an action of `user` on a resource. `mfa` is `None` for a long-term key.
    pub(super) fn decide(
        &self,
        user: &str,
        action: &str,
        resource: &str,
        mfa: Option<bool>,
    ) -> Decision {
        let says = |allows: bool| {
            self.0.iter().any(|statement| {
                statement.allows == allows && statement.matches(user, action, resource, mfa)
            })
        };
        if says(false) {
            Decision::ExplicitDeny
        } else if says(true) {
            Decision::Allowed
        } else {
            Decision::ImplicitDeny
        }
    }
}

impl Statement {
    fn parse(statement: &Value) -> Result<Self, String> {
        const KNOWN: [&str; 6] = ["Sid", "Effect", "Action", "NotAction", "Resource", "Condition"];
        let members = statement.as_object().ok_or("a statement is an object")?;
        if let Some(other) = members.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(format!("the simulator does not evaluate {other}"));
        }
        let texts = |name: &str| {
            let list = list(&statement[name]);
            list.iter().filter_map(|text| Some(text.as_str()?.to_owned())).collect::<Vec<_>>()
        };
        let allows = match statement["Effect"].as_str() {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err("Effect is Allow or Deny".to_owned()),
        };
        let negated = members.contains_key("NotAction");
        let actions = texts(if negated { "NotAction" } else { "Action" });
        let resources = texts("Resource");
        if actions.is_empty() || resources.is_empty() {
            return Err("a statement has actions and resources".to_owned());
        }
        let mfa = members.get("Condition").map(Mfa::parse).transpose()?;
        Ok(Self { allows, actions, negated, resources, mfa })
    }

    fn matches(&self, user: &str, action: &str, resource: &str, mfa: Option<bool>) -> bool {
        // Names of actions are the same in any case; resources are not.
        let lower = action.to_ascii_lowercase();
        let named = self.actions.iter().any(|glob| fits(&glob.to_ascii_lowercase(), &lower));
        let on = |glob: &String| fits(&glob.replace("${aws:username}", user), resource);
        named != self.negated
            && self.resources.iter().any(on)
            && self.mfa.is_none_or(|condition| condition.holds(mfa))
    }
}

impl Mfa {
    fn parse(condition: &Value) -> Result<Self, String> {
        let unknown =
            || "the simulator knows no condition but aws:MultiFactorAuthPresent".to_owned();
        let one = |value: &Value| {
            let members = value.as_object().filter(|members| members.len() == 1)?;
            members.iter().next().map(|(name, value)| (name.clone(), value.clone()))
        };
        let (operator, operand) = one(condition).ok_or_else(unknown)?;
        let (key, value) = one(&operand).ok_or_else(unknown)?;
        let if_exists = match operator.as_str() {
            "Bool" => false,
            "BoolIfExists" => true,
            _ => return Err(unknown()),
        };
        match (key.as_str(), value.as_str()) {
            ("aws:MultiFactorAuthPresent", Some("true")) => Ok(Self { wanted: true, if_exists }),
            ("aws:MultiFactorAuthPresent", Some("false")) => Ok(Self { wanted: false, if_exists }),
            _ => Err(unknown()),
        }
    }

    fn holds(self, present: Option<bool>) -> bool {
        present.map_or(self.if_exists, |present| present == self.wanted)
    }
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// Whether a text fits a pattern with `*` and `?`.
fn fits(pattern: &str, text: &str) -> bool {
    let mut chars = pattern.chars();
    match chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = chars.as_str();
            let from = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            from.into_iter().any(|at| fits(rest, &text[at..]))
        }
        Some(wanted) => {
            let mut left = text.chars();
            left.next().is_some_and(|c| wanted == '?' || wanted == c)
                && fits(chars.as_str(), left.as_str())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(statements: Value) -> Result<Identity, String> {
        Identity::parse(&json!({"Version": "2012-10-17", "Statement": statements}))
    }

    const OWN: &str = "arn:aws:iam::1:user/app";

    #[test]
    fn what_is_not_allowed_is_denied_and_a_denial_goes_first() {
        let own = "arn:aws:iam::*:user/${aws:username}";
        let policy = policy(json!([
            {"Effect": "Allow", "Action": "iam:*AccessKey", "Resource": own},
            {"Effect": "Deny", "Action": ["iam:deleteaccesskey"], "Resource": "*"},
        ]));
        let policy = policy.unwrap();
        let decide = |action, resource| policy.decide("app", action, resource, None);
        assert_eq!(decide("iam:CreateAccessKey", OWN), Decision::Allowed);
        assert_eq!(decide("iam:DeleteAccessKey", OWN), Decision::ExplicitDeny);
        assert_eq!(decide("iam:ListAccessKeys", OWN), Decision::ImplicitDeny);
        assert_eq!(decide("iam:CreateAccessKey", "arn:aws:iam::1:user/x"), Decision::ImplicitDeny);
        let with_path = "arn:aws:iam::1:user/bots/app";
        assert_eq!(decide("iam:CreateAccessKey", with_path), Decision::ImplicitDeny);
    }

    #[test]
    fn mfa_is_absent_from_what_a_key_signs() {
        let deny = |operator: &str, value: &str| {
            let condition = json!({operator: {"aws:MultiFactorAuthPresent": value}});
            let policy = policy(json!([
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Deny", "NotAction": "sts:GetSessionToken", "Resource": "*", "Condition": condition},
            ]));
            policy.unwrap()
        };
        let by = |policy: &Identity, mfa| policy.decide("app", "iam:GetUser", OWN, mfa);
        let strict = deny("BoolIfExists", "false");
        assert_eq!(by(&strict, None), Decision::ExplicitDeny);
        assert_eq!(by(&strict, Some(false)), Decision::ExplicitDeny);
        assert_eq!(by(&strict, Some(true)), Decision::Allowed);
        assert_eq!(strict.decide("app", "sts:GetSessionToken", "*", None), Decision::Allowed);
        let lax = deny("Bool", "false");
        assert_eq!(by(&lax, None), Decision::Allowed, "a long-term key has no such key");
    }

    #[test]
    fn what_it_cannot_evaluate_is_refused() {
        let condition = json!({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}});
        for wrong in [
            json!([{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}]),
            json!([{"Effect": "Allow", "Action": "*", "NotResource": "*"}]),
            json!([{"Effect": "allow", "Action": "*", "Resource": "*"}]),
            json!([]),
        ] {
            assert!(policy(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
