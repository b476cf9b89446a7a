//! The policies on a user that the simulator knows: the quarantine that AWS attaches to whoever's key leaked, and inline
//! ones that deny.

use jiff::Timestamp;
use serde_json::Value;

use super::account::{Decision, User};
use super::admission::{Caller, Via};
use super::answer::Answer;
use super::message::{ApiError, Request};
use super::state::{Simulator, need};

/// The policy that AWS attaches to users whose keys leaked.
pub(super) const QUARANTINE_POLICY: &str = "AWSCompromisedKeyQuarantineV3";

/// What it denies of IAM, STS, S3 and DynamoDB (AWS managed policy reference, version 3 of the policy).
const QUARANTINED: [&str; 42] = [
    "iam:AddUserToGroup",
    "iam:AttachGroupPolicy",
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:ChangePassword",
    "iam:CreateAccessKey",
    "iam:CreateInstanceProfile",
    "iam:CreateLoginProfile",
    "iam:CreatePolicyVersion",
    "iam:CreateRole",
    "iam:CreateUser",
    "iam:DeleteAccessKey",
    "iam:DeleteRole",
    "iam:DetachUserPolicy",
    "iam:ListUsers",
    "iam:PassRole",
    "iam:PutGroupPolicy",
    "iam:PutRolePolicy",
    "iam:PutUserPermissionsBoundary",
    "iam:PutUserPolicy",
    "iam:SetDefaultPolicyVersion",
    "iam:UpdateAccessKey",
    "iam:UpdateAccountPasswordPolicy",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateLoginProfile",
    "iam:UpdateUser",
    "sts:GetFederationToken",
    "sts:GetSessionToken",
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:ListAllMyBuckets",
    "s3:ListBucket",
    "s3:PutBucketAcl",
    "s3:PutBucketCors",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
];

/// Whether the quarantine denies an action.
pub(super) fn is_quarantined(action: &str) -> bool {
    QUARANTINED.contains(&action)
}

/// An inline policy.
#[derive(Clone, Debug)]
pub(super) struct Inline {
    document: String,
    denials: Vec<Denial>,
}

/// A statement that denies.
#[derive(Clone, Debug)]
struct Denial {
    actions: Vec<String>,
    /// `DateLessThan` of `aws:TokenIssueTime`. A call without temporary credentials has no such time, and does not match.
    issued_before: Option<Timestamp>,
}

impl Denial {
    fn denies(&self, action: &str, issued: Option<Timestamp>) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => action.starts_with(start),
            None => action == pattern,
        };
        let condition = match self.issued_before {
            None => true,
            Some(before) => issued.is_some_and(|issued| issued < before),
        };
        condition && self.actions.iter().any(matches)
    }
}

impl Inline {
    fn parse(document: &str) -> Result<Self, ApiError> {
        let malformed = |why: &str| ApiError::new(400, "MalformedPolicyDocument", why);
        let policy: Value = serde_json::from_str(document)
            .map_err(|_| malformed("This policy contains invalid Json"))?;
        let list = |value: &Value| match value {
            Value::Array(list) => list.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let mut denials = Vec::new();
        for statement in list(&policy["Statement"]) {
            if statement["Effect"] == "Allow" {
                // Whatever is not denied is allowed here.
                continue;
            }
            let is_for_all = list(&statement["Resource"]) == ["*"];
            let actions = list(&statement["Action"]);
            let actions: Vec<_> =
                actions.iter().filter_map(|action| Some(action.as_str()?.to_owned())).collect();
            if statement["Effect"] != "Deny" || actions.is_empty() || !is_for_all {
                return Err(malformed("Syntax errors in policy."));
            }
            let issued_before = match statement["Condition"].as_object() {
                None => None,
                Some(condition) => {
                    let time = &statement["Condition"]["DateLessThan"]["aws:TokenIssueTime"];
                    let time = time.as_str().and_then(|time| time.parse().ok());
                    let known = condition.len() == 1 && time.is_some();
                    let unknown = "the simulator knows no condition but aws:TokenIssueTime";
                    Some(time.filter(|_| known).ok_or_else(|| malformed(unknown))?)
                }
            };
            denials.push(Denial { actions, issued_before });
        }
        Ok(Self { document: document.to_owned(), denials })
    }
}

impl User {
    /// What the policies on a user say to a call that is signed by, or for, it.
    pub(super) fn decide(&self, caller: &Caller, action: &str) -> Decision {
        let issued = match caller.via {
            Via::Key => None,
            Via::Session { .. } | Via::Role { .. } => caller.issued,
        };
        if self.quarantined && is_quarantined(action) {
            Decision::Quarantine
        } else if self
            .inline
            .values()
            .any(|policy| policy.denials.iter().any(|denial| denial.denies(action, issued)))
        {
            Decision::ExplicitDeny
        } else if self.denied.contains(action) {
            Decision::ImplicitDeny
        } else {
            Decision::Allowed
        }
    }
}

impl Simulator {
    /// The calls about a user's policies.
    pub(super) fn policies(
        &mut self,
        request: &Request,
        user: &str,
    ) -> Option<Result<Answer, ApiError>> {
        Some(match request.action.as_str() {
            "ListAttachedUserPolicies" => self.user(user).map(|found| {
                let policy = (QUARANTINE_POLICY.to_owned(), self.quarantine_arn());
                Answer::Policies(found.quarantined.then_some(policy).into_iter().collect())
            }),
            "ListUserPolicies" => self
                .user(user)
                .map(|found| Answer::PolicyNames(found.inline.keys().cloned().collect())),
            "PutUserPolicy" => self.put_policy(request, user),
            "GetUserPolicy" => need(request, "PolicyName").and_then(|name| {
                let policy = self.user(user)?.inline.get(name).ok_or_else(|| no_policy(name))?;
                let (user, name) = (user.to_owned(), name.to_owned());
                Ok(Answer::Policy { user, name, document: policy.document.clone() })
            }),
            "DeleteUserPolicy" => need(request, "PolicyName").and_then(|name| {
                let removed = self.user_mut(user)?.inline.remove(name);
                removed.map(|_| Answer::Empty).ok_or_else(|| no_policy(name))
            }),
            _ => return None,
        })
    }

    fn put_policy(&mut self, request: &Request, user: &str) -> Result<Answer, ApiError> {
        let name = need(request, "PolicyName")?.to_owned();
        let policy = Inline::parse(need(request, "PolicyDocument")?)?;
        self.user_mut(user)?.inline.insert(name, policy);
        Ok(Answer::Empty)
    }
}

fn no_policy(name: &str) -> ApiError {
    let message = format!("The user policy with name {name} cannot be found.");
    ApiError::new(404, "NoSuchEntity", message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_issue_is_only_that_of_temporary_credentials() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],
            "Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-25T12:00:00Z"}}}]}"#;
        let policy = Inline::parse(policy).unwrap();
        let denies =
            |issued| policy.denials.iter().any(|denial| denial.denies("s3:GetObject", issued));
        assert!(denies(Some(at("2026-11-25T11:59:59Z"))));
        assert!(!denies(Some(at("2026-11-25T12:00:00Z"))));
        assert!(!denies(None), "a long-term key has none");
        for bad in ["no", r#"{"Statement":[{"Effect":"Deny"}]}"#] {
            assert!(Inline::parse(bad).is_err(), "{bad}");
        }
    }
}
