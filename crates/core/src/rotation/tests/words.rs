//! What people read: calls by IAM's names, and what is waited for.

use super::world::{at, old, policy};
use crate::credential::{Credentials, Generation, KeyStatus, SecretAccessKey};
use crate::iam::Vantage;
use crate::journal::RotationId;
use crate::rotation::{Command, WaitingFor};

#[test]
fn a_call_is_named_as_iam_names_it_and_what_is_no_call_is_not() {
    let (signer, region) = (old(), "eu-west-1".to_owned());
    let rotation = RotationId("0123456789abcdef".to_owned());
    let credentials = Credentials::long_term(old(), SecretAccessKey::new("secret".to_owned()));
    let calls = [
        (Command::Identify { signer: old(), region }, "sts:GetCallerIdentity"),
        (Command::List { signer: old() }, "iam:ListAccessKeys"),
        (Command::Create { signer: old(), rotation }, "iam:CreateAccessKey"),
        (
            Command::Update { signer: old(), id: old(), status: KeyStatus::Active },
            "iam:UpdateAccessKey",
        ),
        (Command::Delete { signer: old(), id: old() }, "iam:DeleteAccessKey"),
        (Command::LastUsed { signer: old(), id: old() }, "iam:GetAccessKeyLastUsed"),
        (Command::Simulate { signer: old() }, "iam:SimulatePrincipalPolicy"),
        (Command::ListTags { signer: old() }, "iam:ListUserTags"),
        (Command::Tag { signer: old(), describes: None }, "iam:TagUser"),
        (Command::Untag { signer, described: old() }, "iam:UntagUser"),
        (Command::ProbeKeystore, ""),
        (Command::Store(credentials), ""),
        (Command::Publish { id: old(), generation: Generation(2) }, ""),
        (Command::Fetch, ""),
    ];
    for (command, action) in calls {
        assert_eq!(command.action(), action, "{command:?}");
    }
}

#[test]
fn what_is_waited_for_is_told() {
    let straggler = WaitingFor::Straggler(at(0), "s3".to_owned()).to_string();
    assert!(straggler.contains("s3") && straggler.contains("2023-11-14T22:13:20Z"), "{straggler}");
    assert!(WaitingFor::Aws("Throttled".to_owned()).to_string().contains("Throttled"));
    assert_eq!(WaitingFor::Soak.to_string(), "somebody to miss the deactivated key");
}

#[test]
fn the_home_region_is_the_first_that_is_probed_or_else_the_first_of_aws() {
    let mut policy = policy();
    assert_eq!(policy.home_region(), "eu-west-1");
    policy.vantages = vec![Vantage::Iam];
    assert_eq!(policy.home_region(), "us-east-1");
}
