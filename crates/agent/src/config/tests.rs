//! What is refused, and what follows from what stands in the file.

use std::time::Duration;

use super::*;

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let error = Config::parse("[profile.deploy]\nlese = \"30m\"\n").expect_err("unknown");
    assert!(
        error.message.contains("lese") && error.message.contains("profile.deploy"),
        "{error:?}"
    );
    assert!(error.hint.contains("lease"), "{error:?}");
    let error = Config::parse("[stoer]\n").expect_err("unknown");
    assert!(error.hint.contains("store"), "{error:?}");
    let error = Config::parse("[profile.a.probe]\nsucceses = 4\n").expect_err("unknown");
    assert!(error.hint.contains("successes"), "{error:?}");
}

#[test]
fn floors_hold_unless_they_are_lifted() {
    let error = Config::parse("[profile.a]\nsoak = \"1m\"\n").expect_err("below the floor");
    assert!(error.message.contains("soak") && error.hint.contains("unsafe_durations"), "{error:?}");
    let config =
        Config::parse("[profile.a]\nsoak = \"2s\"\nlease = \"4s\"\nunsafe_durations = true\n")
            .expect("lifted");
    let settings = config.settings("a", &Env::default()).expect("checked");
    assert_eq!(settings.policy.soak, Duration::from_secs(2));
    assert_eq!(settings.policy.orphan_wait, Duration::from_secs(2));
    assert_eq!(settings.policy.signature_window, Duration::from_secs(4));
    assert_eq!(settings.policy.settle, Duration::ZERO);
    let config = Config::parse("[profile.a]\n").expect("plain");
    let settings = config.settings("a", &Env::default()).expect("checked");
    assert_eq!(settings.policy.lease, Duration::from_secs(3600));
    assert_eq!(settings.policy.signature_window, Duration::from_secs(900));
}

#[test]
fn wrong_types_and_values_name_the_key() {
    for (text, names) in [
        ("[profile.a]\nlease = 5\n", "lease"),
        ("[profile.a]\nlease = \"soon\"\n", "lease"),
        ("[profile.a]\nserve = \"keys\"\n", "serve"),
        ("[profile.a]\nendpoint_url = \"ftp://x\"\n", "endpoint_url"),
        ("[store]\nkind = \"paper\"\n", "kind"),
        ("[store]\nkind = \"file\"\npassphrase_file = \"~/p\"\n", "passphrase_file"),
        ("[profile.a]\nprobe = { successes = 1 }\n", "successes"),
        ("[profile.\"a/b\"]\n", "a/b"),
        ("[profile.a]\nsource_profile = \"b\"\n", "source_profile"),
        ("[profile.a]\nsource_profile = \"a\"\n", "source_profile"),
    ] {
        let error = Config::parse(text).expect_err(text);
        assert!(error.message.contains(names), "{text}: {error:?}");
    }
}

#[test]
fn a_profile_goes_by_its_own_url_first() {
    let env =
        Env::from([("AWS_ENDPOINT_URL", "http://general"), ("AWS_ENDPOINT_URL_STS", "http://sts")]);
    let config =
        Config::parse("[profile.a]\n[profile.b]\nendpoint_url = \"http://own\"\n").expect("fine");
    let a = config.settings("a", &env).expect("fine").endpoints;
    assert_eq!((a.iam.as_deref(), a.sts.as_deref()), (Some("http://general"), Some("http://sts")));
    let b = config.settings("b", &env).expect("fine").endpoints;
    assert_eq!((b.iam.as_deref(), b.sts.as_deref()), (Some("http://own"), Some("http://own")));
}

#[test]
fn sessions_last_as_aws_lets_them() {
    let read = |text: &str| {
        let config = Config::parse(&format!("[profile.a]\n{text}")).expect(text);
        config.settings("a", &Env::default()).expect(text).session
    };
    let hours = |count: u64| Duration::from_secs(3600 * count);
    assert_eq!(read("").duration, hours(1));
    assert_eq!(read("mfa_serial = \"arn:aws:iam::1:mfa/a\"\n").duration, hours(12));
    assert_eq!(read("session_duration = \"36h\"\n").duration, hours(36));
    let short = read("session_duration = \"2s\"\nunsafe_durations = true\n");
    assert_eq!(short.duration, Duration::from_secs(2));
    let role = "serve = \"role\"\nrole_arn = \"arn:aws:iam::1:role/team/b\"\n";
    let plain = read(role).role.expect("a role");
    assert_eq!((plain.duration(), plain.session_name.as_str()), (hours(1), "rotakey-a"));
    let long = read(&format!("{role}duration = \"12h\"\nexternal_id = \"x:1/2\"\n")).role;
    let long = long.expect("a role");
    assert_eq!((long.duration(), long.external_id.as_deref()), (hours(12), Some("x:1/2")));
    let long_name = format!("[profile.{0}]\n{role}", "n".repeat(64));
    let config = Config::parse(&long_name).expect("fine");
    let settings = config.settings(&"n".repeat(64), &Env::default()).expect("fine");
    assert_eq!(settings.session.role.expect("a role").session_name.len(), 64);
}

#[test]
fn what_does_not_go_together_is_refused_with_a_way_out() {
    let role = "role_arn = \"arn:aws:iam::1:role/b\"\n";
    for (text, names, hint) in [
        ("serve = \"role\"\n", "role_arn", "role_arn = "),
        (role, "role_arn", "serve = \"role\""),
        (&format!("{role}serve = \"session\"\n"), "role_arn", "serve = \"role\""),
        ("role_arn = \"arn:aws:iam::1:user/b\"\nserve = \"role\"\n", "role_arn", "role/"),
        ("external_id = \"xx\"\n", "external_id", "role_arn"),
        ("duration = \"1h\"\n", "duration", "session_duration"),
        (&format!("serve = \"role\"\n{role}session_name = \"a b\"\n"), "session_name", "64"),
        (&format!("serve = \"role\"\n{role}external_id = \"x\"\n"), "external_id", "1224"),
        (&format!("serve = \"role\"\n{role}duration = \"13h\"\n"), "duration", "12h"),
        (&format!("serve = \"role\"\n{role}duration = \"14m\"\n"), "duration", "15m"),
        ("session_duration = \"37h\"\n", "session_duration", "1d12h"),
        ("session_duration = \"14m\"\n", "session_duration", "unsafe_durations"),
        ("mfa_process = \"cat code\"\n", "mfa_process", "mfa_serial"),
        ("imds = 1\n", "imds", "true"),
        ("imds_v1 = true\n", "imds_v1", "imds = true"),
        ("imds = true\n[profile.b]\nimds = true\n", "profile.b", "choose"),
        ("executables = [\"aws\"]\n", "executables", "/usr/bin/aws"),
    ] {
        let error = Config::parse(&format!("[profile.a]\n{text}")).expect_err(text);
        assert!(error.message.contains(names) && error.hint.contains(hint), "{text}: {error:?}");
    }
    let error =
        Config::parse("[agent]\nlisten = \"0.0.0.0:80\"\n").expect_err("not only this machine");
    assert!(error.message.contains("[agent]"), "{error:?}");
}

/// The roles of `profile`, each by its last letter.
fn roles(config: &str, profile: &str) -> Result<String, ConfigError> {
    let config = Config::parse(config)?;
    let roles = config.roles(profile)?;
    Ok(roles.iter().filter_map(|role| role.role_arn.chars().last()).collect())
}

#[test]
fn roles_follow_one_another_from_the_key_on() {
    let role = |name: &str, source: &str, more: &str| {
        format!(
            "[profile.{name}]\nserve = \"role\"\nsource_profile = \"{source}\"\n\
             role_arn = \"arn:aws:iam::1:role/{name}\"\n{more}"
        )
    };
    let chain = format!(
        "[profile.key]\n{}{}{}[profile.also]\nserve = \"role\"\nsource_profile = \"c\"\n\
         [profile.same]\nsource_profile = \"c\"\n",
        role("a", "key", "duration = \"12h\"\n"),
        role("b", "a", "duration = \"1h\"\n"),
        role("c", "b", ""),
    );
    for (profile, expected) in
        [("key", ""), ("a", "a"), ("b", "ab"), ("c", "abc"), ("also", "abc"), ("same", "")]
    {
        assert_eq!(roles(&chain, profile).expect(profile), expected, "{profile}");
    }
    let config = Config::parse(&chain).expect("fine");
    assert_eq!(config.key_profile("c"), Ok("key"));

    let long = format!(
        "[profile.key]\n{}{}",
        role("a", "key", ""),
        role("b", "a", "duration = \"61m\"\n")
    );
    let error = roles(&long, "b").expect_err("a chained role");
    assert!(error.message.contains("profile.b") && error.hint.contains("1h"), "{error:?}");
    let circle = format!("{}{}", role("a", "b", ""), role("b", "a", ""));
    assert!(roles(&circle, "a").expect_err("a circle").message.contains("circle"));
}

#[test]
fn the_nearest_mfa_device_is_the_one() {
    let config = Config::parse(
        "[profile.key]\nmfa_serial = \"m1\"\nmfa_process = \"one\"\n\
         [profile.a]\nsource_profile = \"key\"\n\
         [profile.b]\nsource_profile = \"a\"\nmfa_serial = \"m2\"\n",
    )
    .expect("fine");
    let mfa = |profile: &str| config.settings(profile, &Env::default()).expect("fine").session.mfa;
    let device = |profile: &str| {
        mfa(profile).map(|mfa| (mfa.profile, mfa.serial, mfa.process)).expect("a device")
    };
    let first = ("key".to_owned(), "m1".to_owned(), Some("one".to_owned()));
    assert_eq!((device("key"), device("a")), (first.clone(), first));
    assert_eq!(device("b"), ("b".to_owned(), "m2".to_owned(), None));
}

#[test]
fn names_of_profiles_can_be_folders_and_arguments() {
    for name in ["app", "a-b", "x.y@z+1", "_", &"x".repeat(64)] {
        assert!(check_profile_name(name).is_ok(), "{name}");
    }
    for name in ["", ".", "..", ".app", "-prod", "--all", "a/b", "a b", "\u{e9}", &"x".repeat(65)] {
        let error = check_profile_name(name).expect_err(name);
        assert!(error.message.contains(&format!("{name:?}")), "{error:?}");
    }
    let error = Config::parse("[profile.-prod]\n").expect_err("an option");
    assert!(error.hint.contains("not beginning with a dot or a hyphen"), "{error:?}");
}

#[test]
fn hosts_of_the_proxy_are_public_names() {
    let hosts = |host: &str| {
        let text = format!("[profile.app.proxy_hosts]\nexecute-api = {host}\n");
        Config::parse(&text)?.settings("app", &Env::default()).map(|settings| settings.proxy_hosts)
    };
    assert_ne!(
        hosts("\"abc.execute-api.{region}.amazonaws.com\"").expect("fine"),
        Default::default()
    );
    for bad in
        ["\"127.0.0.1\"", "\"https://a.example\"", "\"a.example:8443\"", "1", "\"localhost\""]
    {
        let error = hosts(bad).expect_err(bad);
        assert!(error.message.contains("proxy_hosts.execute-api is"), "{error:?}");
        assert!(error.hint.contains("public name"), "{error:?}");
    }
    let error = Config::parse("[profile.app]\nproxy_hosts = \"a.example\"\n")
        .and_then(|config| config.settings("app", &Env::default()))
        .expect_err("no table");
    assert!(error.hint.contains("a table of signing names"), "{error:?}");
}
