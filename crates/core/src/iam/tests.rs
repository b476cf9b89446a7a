use super::*;

#[test]
fn user_names_come_from_arns_of_every_partition_and_path() {
    let name = |arn: &str| {
        let identity = CallerIdentity { account_id: "1".into(), arn: arn.into() };
        identity.user_name().map(str::to_owned)
    };
    assert_eq!(name("arn:aws:iam::123456789012:user/app").as_deref(), Some("app"));
    assert_eq!(name("arn:aws-cn:iam::1:user/team/a/app").as_deref(), Some("app"));
    assert_eq!(name("arn:aws-us-gov:iam::1:user/app").as_deref(), Some("app"));
    assert_eq!(name("arn:aws:sts::1:assumed-role/r/s"), None);
    assert_eq!(name("arn:aws:iam::1:root"), None);
    assert_eq!(name("arn:aws:iam::1:user/"), None);
}

#[test]
fn a_session_is_known_by_its_roles_name_and_account() {
    let is = |arn: &str, role: &str| {
        CallerIdentity { account_id: "1".into(), arn: arn.into() }.is_session_of(role)
    };
    assert!(is("arn:aws:sts::1:assumed-role/deploy/s", "arn:aws:iam::1:role/deploy"));
    assert!(is("arn:aws:sts::1:assumed-role/deploy/s", "arn:aws:iam::1:role/team/a/deploy"));
    assert!(is("arn:aws-cn:sts::1:assumed-role/x/s", "arn:aws-cn:iam::1:role/x"));
    for (arn, role) in [
        ("arn:aws:sts::1:assumed-role/deploy/s", "arn:aws:iam::1:role/deployer"),
        ("arn:aws:sts::1:assumed-role/deploy/s", "arn:aws:iam::2:role/deploy"),
        ("arn:aws-cn:sts::1:assumed-role/deploy/s", "arn:aws:iam::1:role/deploy"),
        ("arn:aws:iam::1:user/deploy", "arn:aws:iam::1:role/deploy"),
        ("arn:aws:sts::1:assumed-role/deploy/s", "deploy"),
        ("nonsense", "nonsense"),
    ] {
        assert!(!is(arn, role), "{arn} {role}");
    }
}

#[test]
fn which_refusals_come_from_a_recognised_caller_and_which_pass_by_themselves() {
    use RefusalClass as Class;
    let classes = [
        (Class::KeyUnknown, false, false),
        (Class::WrongSecret, false, false),
        (Class::Clock, false, false),
        (Class::Expired, false, false),
        (Class::Permission, true, false),
        (Class::Quarantine, true, false),
        (Class::Throttled, false, true),
        (Class::Quota, true, false),
        (Class::NoSuchEntity, true, false),
        (Class::Conflict, true, true),
        (Class::Invalid, false, false),
    ];
    for (class, authenticated, transient) in classes {
        let says = (class.is_authenticated(), class.is_transient());
        assert_eq!(says, (authenticated, transient), "{class:?}");
    }
}

#[test]
fn an_outcome_keeps_its_kind_around_another_value() {
    let refusal = Refusal {
        class: RefusalClass::Invalid,
        code: "ValidationError".to_owned(),
        message: "no".to_owned(),
    };
    let doubt = Doubt { sent: true, reason: "lost".to_owned() };
    let double = |outcome: Outcome<i32>| outcome.map(|n| n * 2);
    assert_eq!(double(Outcome::Done(21)), Outcome::Done(42));
    assert_eq!(double(Outcome::Refused(refusal.clone())), Outcome::Refused(refusal));
    assert_eq!(double(Outcome::Unknown(doubt.clone())), Outcome::Unknown(doubt));
}

#[test]
fn a_root_user_is_known_by_its_arn_and_a_vantage_by_its_place() {
    let is_root =
        |arn: &str| CallerIdentity { account_id: "1".to_owned(), arn: arn.to_owned() }.is_root();
    assert!(is_root("arn:aws:iam::123456789012:root"));
    assert!(!is_root("arn:aws:iam::123456789012:user/root"));
    assert_eq!(Vantage::Sts("eu-west-1".to_owned()).to_string(), "sts eu-west-1");
    assert_eq!(Vantage::Iam.to_string(), "iam");
}
