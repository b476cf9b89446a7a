//! Sessions from before are refused; those from after are not.

use serde_json::json;

use super::support::awscli::{LIST, by_container, by_hand, by_imds, by_process};
use super::{evidence_of, world_with_agent};

const REVOKE: [&str; 3] = ["rotate", "--compromised", "--revoke-sessions"];

#[test]
fn sessions_minted_before_are_refused_and_new_ones_are_served() {
    let world = world_with_agent();
    let agent = world.agent();
    let before = agent.container("app").json();
    let text = |name: &str| before[name].as_str().unwrap().to_owned();
    let (id, secret, token) = (text("AccessKeyId"), text("SecretAccessKey"), text("Token"));
    let old = || by_hand(&world, &id, &secret, Some(&token), &LIST);
    assert_eq!(old().code, 0);

    let run = world.expect(0, &REVOKE);
    assert!(run.stdout.contains("rotakey-revoke-older-sessions"), "{run:?}");
    let refused = old();
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("AccessDenied"), "{refused:?}");
    for client in [
        by_process(&world, &LIST),
        by_container(&world, &agent, &LIST),
        by_imds(&world, &agent, &LIST),
    ] {
        assert_eq!(client.code, 0, "{client:?}");
    }
    let (_, evidence) = evidence_of(&run);
    assert_eq!(evidence["sessions"]["is_attached"], true);
}

/// Without it they live on: that is what AWS does.
#[test]
fn sessions_that_nobody_revokes_live_on() {
    let world = world_with_agent();
    let agent = world.agent();
    let before = agent.container("app").json();
    let text = |name: &str| before[name].as_str().unwrap().to_owned();
    let run = world.expect(0, &["rotate", "--compromised", "--no-revoke-sessions"]);
    let (id, secret, token) = (text("AccessKeyId"), text("SecretAccessKey"), text("Token"));
    assert_eq!(by_hand(&world, &id, &secret, Some(&token), &LIST).code, 0);
    assert_ne!(agent.container("app").json()["AccessKeyId"], id, "but they are served no more");
    let by_admin = "aws iam put-user-policy --user-name app --policy-name rotakey-revoke-older-sessions --policy-document '{";
    assert!(run.stdout.contains(by_admin), "{run:?}");
}

#[test]
fn what_may_not_be_attached_is_told_as_the_admins_command() {
    let world = world_with_agent();
    world.control(json!({"op": "deny", "user": "app", "actions": ["iam:PutUserPolicy"]}));
    let run = world.expect(0, &REVOKE);
    assert!(
        run.stdout.contains("NOT revoked") && run.stdout.contains("put-user-policy"),
        "{run:?}"
    );
    assert!(!world.accepts(&world.id));
}

#[test]
fn for_roles_the_call_of_their_accounts_admin_is_told() {
    let world = world_with_agent();
    let role = "arn:aws:iam::210987654321:role/team/deployer";
    let config = super::hourly(&world, "");
    world.configure(&format!("{config}[profile.deploy]\nsource_profile = \"app\"\nrole_arn = \"{role}\"\nserve = \"role\"\n"));
    let run = world.expect(0, &["rotate", "--compromised", "--no-revoke-sessions"]);
    assert!(run.stdout.contains("aws iam put-role-policy --role-name deployer"), "{run:?}");
}
