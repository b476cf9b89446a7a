//! What only an administrator can do, as commands of the AWS CLI: ready to be run, with nothing to be filled in.

use rotakey_core::credential::AccessKeyId;

/// Sets a key Inactive.
pub fn deactivate(user: &str, id: &AccessKeyId) -> String {
    format!(
        "aws iam update-access-key --user-name {} --access-key-id {id} --status Inactive",
        quoted(user)
    )
}

/// Deletes a key.
pub fn delete(user: &str, id: &AccessKeyId) -> String {
    format!("aws iam delete-access-key --user-name {} --access-key-id {id}", quoted(user))
}

/// Makes a key.
pub fn create(user: &str) -> String {
    format!("aws iam create-access-key --user-name {}", quoted(user))
}

/// Attaches an inline policy.
pub fn put_user_policy(user: &str, name: &str, document: &str) -> String {
    format!(
        "aws iam put-user-policy --user-name {} --policy-name {name} --policy-document '{document}'",
        quoted(user)
    )
}

/// Removes an inline policy.
pub fn delete_user_policy(user: &str, name: &str) -> String {
    format!("aws iam delete-user-policy --user-name {} --policy-name {name}", quoted(user))
}

/// Attaches an inline policy to a role, in the role's own account.
pub fn put_role_policy(role_arn: &str, name: &str, document: &str) -> String {
    let role = role_arn.rsplit('/').next().unwrap_or(role_arn);
    format!(
        "aws iam put-role-policy --role-name {} --policy-name {name} --policy-document '{document}'",
        quoted(role)
    )
}

/// Removes AWS's own policy for leaked keys. `partition` is that of the user's ARN.
pub fn detach_quarantine(user: &str, partition: &str, policy: &str) -> String {
    format!(
        "aws iam detach-user-policy --user-name {} --policy-arn arn:{partition}:iam::aws:policy/{policy}",
        quoted(user)
    )
}

/// What was done with a key. CloudTrail keeps 90 days, each region its own; IAM's are in the first one of the partition.
pub fn lookup_events(id: &AccessKeyId, region: &str) -> String {
    format!(
        "aws cloudtrail lookup-events --region {region} --lookup-attributes AttributeKey=AccessKeyId,AttributeValue={id}"
    )
}

/// For a shell. Names of users and roles hold nothing else that a shell takes for its own.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_run_as_they_are() {
        let id: AccessKeyId = "AKIAEXAMPLE".parse().expect("an id");
        assert_eq!(
            deactivate("app", &id),
            "aws iam update-access-key --user-name app --access-key-id AKIAEXAMPLE --status Inactive"
        );
        assert!(deactivate("a b", &id).contains("--user-name 'a b' "));
        let role = put_role_policy("arn:aws:iam::1:role/team/deploy", "p", "{}");
        assert!(role.contains("--role-name deploy --policy-name p --policy-document '{}'"));
    }
}
