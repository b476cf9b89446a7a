//! Edits of single files: what they change, what they leave, and what is refused.

use proptest::prelude::*;

use super::*;

const LINE: &str = "credential_process = /bin/rotakey credential-process --profile x";

fn line(profile: &str) -> String {
    LINE.strip_suffix('x').map(|line| format!("{line}{profile}")).expect("x's")
}

fn holding(credentials: &str, config: &str, profile: &str) -> Holding {
    match Shared::parse(credentials.as_bytes(), config.as_bytes()).standing(profile) {
        Standing::Holds(holding) => *holding,
        Standing::Left(why) => panic!("{profile} is left: {why}"),
    }
}

fn left(credentials: &str, config: &str, profile: &str) -> String {
    match Shared::parse(credentials.as_bytes(), config.as_bytes()).standing(profile) {
        Standing::Holds(_) => panic!("{profile} is taken"),
        Standing::Left(why) => why,
    }
}

/// Both files after the profile was taken.
fn taken(
    credentials: &[u8],
    config: &[u8],
    profile: &str,
) -> Result<(Vec<u8>, Vec<u8>), Entangled> {
    let shared = Shared::parse(credentials, config);
    let Standing::Holds(holding) = shared.standing(profile) else { panic!("it is left") };
    let wanted = [Wanted {
        profile: profile.to_owned(),
        id: holding.id,
        secret: holding.secret,
        line: (!holding.has_line).then(|| line(profile)),
        take: true,
    }];
    let of = |kind| {
        let document = shared.document(kind);
        Wanted::changes(&wanted, kind, document).apply(document)
    };
    Ok((of(Kind::Credentials)?, of(Kind::Config)?))
}

fn taken_text(credentials: &str, config: &str) -> (String, String) {
    let (credentials, config) =
        taken(credentials.as_bytes(), config.as_bytes(), "x").unwrap_or_else(|e| panic!("{e}"));
    (String::from_utf8(credentials).expect("text"), String::from_utf8(config).expect("text"))
}

const KEYS: &str = "aws_access_key_id = AKIAEXAMPLE123456789\naws_secret_access_key = s/e+c=r\n";

#[test]
fn only_the_keys_lines_go_and_only_one_line_comes() {
    let before = format!("# mine\n[x] # here\n; why\n{KEYS}\n# next\n[y]\nregion=eu-west-1");
    let config =
        "[profile x]\ns3 =\n  addressing_style = path\n\n# of y\n[profile y]\noutput = json";
    let (credentials, config) = taken_text(&before, config);
    assert_eq!(credentials, "# mine\n[x] # here\n; why\n\n# next\n[y]\nregion=eu-west-1");
    let after = format!(
        "[profile x]\ns3 =\n  addressing_style = path\n{LINE}\n\n# of y\n[profile y]\noutput = json"
    );
    assert_eq!(config, after);
}

#[test]
fn ends_of_lines_the_mark_at_the_beginning_and_a_missing_end_stay() {
    let keys = KEYS.replace('\n', "\r\n");
    let before = format!("\u{feff}[x]\r\n{keys}region = eu-west-1");
    let (credentials, config) = taken_text(&before, "\u{feff}[profile x]\r\nregion = eu-west-1");
    assert_eq!(credentials, "\u{feff}[x]\r\nregion = eu-west-1");
    assert_eq!(config, format!("\u{feff}[profile x]\r\nregion = eu-west-1\r\n{LINE}\r\n"));
    let (credentials, config) = taken_text(&format!("[x]\n{}", KEYS.trim_end()), "");
    assert_eq!(credentials, "[x]\n");
    assert_eq!(config, format!("[profile x]\n{LINE}\n"));
}

#[test]
fn a_comment_behind_a_value_stays_on_its_own_line() {
    let before = "[x]\naws_access_key_id = AKIAEXAMPLE123456789 # since May\naws_secret_access_key=abc\t; old: x\n";
    assert_eq!(taken_text(before, "").0, "[x]\n# since May\n; old: x\n");
}

#[test]
fn sections_and_keys_that_come_twice_are_one() {
    let before = format!("[x]\n{KEYS}[y]\nregion = a\n[x]\nREGION: b\n{KEYS}");
    let found = holding(&before, "", "x");
    assert_eq!((found.region.as_deref(), found.places.len()), (Some("b"), 4));
    assert_eq!(taken_text(&before, "").0, "[x]\n[y]\nregion = a\n[x]\nREGION: b\n");
    let other = before.replacen("AKIAEXAMPLE123456789", "AKIAOTHER12345678900", 1);
    assert!(left(&other, "", "x").contains("two different keys"));
    let config = format!("[profile x]\n{}", KEYS.replace("s/e", "S/E"));
    assert!(left(&before, &config, "x").contains("two different keys"));
}

#[test]
fn a_default_of_either_form_gets_the_line_in_both() {
    let config = "[default]\nregion = a\n[profile default]\nregion = b\n[default]\noutput = json\n";
    let shared = Shared::parse(b"", config.as_bytes());
    let wanted = [Wanted {
        profile: "default".to_owned(),
        id: "AKIAEXAMPLE123456789".parse().expect("an id"),
        secret: SecretAccessKey::new("s".to_owned()),
        line: Some("credential_process = p".to_owned()),
        take: true,
    }];
    let changes = Wanted::changes(&wanted, Kind::Config, &shared.config);
    let after = changes.apply(&shared.config).unwrap_or_else(|e| panic!("{e}"));
    let after = String::from_utf8(after).expect("text");
    let line = "credential_process = p\n";
    assert_eq!(
        after,
        format!(
            "[default]\nregion = a\n[profile default]\nregion = b\n{line}[default]\noutput = json\n{line}"
        )
    );
}

#[test]
fn a_section_that_is_indented_stays_a_section() {
    let (_, config) =
        taken_text(&format!("[x]\n{KEYS}"), "[profile x]\n  region = a\n  [profile y]\n");
    let document = Document::parse(config.as_bytes());
    assert_eq!(document.sections.len(), 2, "{config}");
    assert_eq!(config, format!("[profile x]\n  region = a\n  {LINE}\n  [profile y]\n"));
}

#[test]
fn what_is_no_plain_key_of_a_profile_is_left_and_it_says_why() {
    let with = |more: &str| left(&format!("[x]\n{KEYS}{more}"), "", "x");
    for (more, why) in [
        ("aws_session_token = t\n", "session token"),
        ("aws_security_token = t\n", "session token"),
        ("role_arn = arn\n", "role"),
        ("sso_session = s\n", "sso"),
        ("web_identity_token_file = f\n", "web identity"),
        ("credential_process = /bin/other --secret\n", "something else: /bin/other"),
        ("  region = a\n", "several lines"),
    ] {
        assert!(with(more).contains(why), "{more}: {}", with(more));
    }
    assert!(!with("credential_process = /bin/other --secret\n").contains("--secret"));
    let instead = |id: &str| left(&format!("[x]\n{}", KEYS.replace("AKIAEXAMPLE", id)), "", "x");
    assert!(instead("ASIAEXAMPLE").contains("temporary"));
    assert!(instead("MINIO").contains("AKIA"));
    assert!(left("[x]\naws_access_key_id = AKIAEXAMPLE123456789\n", "", "x").contains("half"));
    assert!(left("", &format!("[profile x]\n{LINE}\n"), "x").contains("already"));
    assert!(left(&format!("[a b]\n{KEYS}"), "", "a b").contains("cannot be the name"));
    // In the other file's form, no SDK takes it for the profile's section.
    let shared = format!("[profile x]\n{KEYS}");
    assert_eq!(Shared::parse(shared.as_bytes(), b"").profiles(), ["profile x"]);
    assert_eq!(Shared::parse(b"", b"[x]\n[sso-session s]\n[services v]\n").profiles(), [""; 0]);
}

#[test]
fn regions_and_urls_come_along() {
    let config = "[profile x]\nregion = eu-west-1\nservices = v\nendpoint_url = http://all\n[services v]\niam =\n  endpoint_url = http://iam\ns3 =\n  endpoint_url = http://s3\n";
    let found = holding(&format!("[x]\n{KEYS}"), config, "x");
    assert_eq!(found.region.as_deref(), Some("eu-west-1"));
    assert_eq!(found.iam_url.as_deref(), Some("http://iam"));
    assert_eq!(found.sts_url.as_deref(), Some("http://all"));
    let ignored = config.replace("services = v", "ignore_configured_endpoint_urls = True");
    let found = holding(&format!("[x]\n{KEYS}"), &ignored, "x");
    assert_eq!((found.iam_url, found.sts_url), (None, None));
}

#[test]
fn a_key_that_is_not_the_one_meant_any_more_stays() {
    let before = format!("[x]\n{KEYS}");
    let document = Document::parse(before.as_bytes());
    let wanted = [Wanted {
        profile: "x".to_owned(),
        id: "AKIAEXAMPLE123456789".parse().expect("an id"),
        secret: SecretAccessKey::new("another".to_owned()),
        line: None,
        take: true,
    }];
    assert!(Wanted::changes(&wanted, Kind::Credentials, &document).is_empty());
}

#[test]
fn places_follow_the_environment() {
    let env = Env::from([("HOME", "/home/u"), ("AWS_CONFIG_FILE", "~/c")]);
    let places = Places::from_env(&env).expect("known");
    assert_eq!(places.config, Path::new("/home/u/c"));
    assert_eq!(places.credentials, Path::new("/home/u/.aws/credentials"));
    Places::from_env(&Env::default()).expect_err("no HOME");
}

#[test]
fn copies_are_found_wherever_an_sdk_would_read_them() {
    let home = tempfile::tempdir().expect("a folder");
    disk::create_private_dir(&home.path().join(".aws")).expect("made");
    let path = home.path().join(".aws/credentials");
    let text = format!("# AKIAEXAMPLE123456789\n[x]\n{KEYS}[y]\naws_access_key_id=AKIAOTHER\n");
    disk::replace(&path, text.as_bytes()).expect("written");
    let env = Env::from([("HOME", home.path().to_str().expect("text"))]);
    let id = "AKIAEXAMPLE123456789".parse().expect("an id");
    assert_eq!(plaintext_copies(&env, &[&id]), [Copy { path, profile: "x".to_owned(), line: 3 }]);
    assert_eq!(plaintext_copies(&env, &[]), []);
}

#[test]
fn nobody_waits_for_a_pipe() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let home = tempfile::tempdir().expect("a folder");
    disk::create_private_dir(&home.path().join(".aws")).expect("made");
    let path = home.path().join(".aws/credentials");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
    let env = Env::from([("HOME", home.path().to_str().expect("text"))]);
    let id = "AKIAEXAMPLE123456789".parse().expect("an id");
    assert_eq!(plaintext_copies(&env, &[&id]), []);
    assert_eq!(rotakey_line(&env, "x"), None);
    assert!(read(&path).expect("no error").is_none());
}

#[test]
fn a_line_is_ours_however_it_is_written_and_no_variable_is_shown() {
    let standing = |line: &str| {
        let config = format!("[profile x]\ncredential_process = {line}\n");
        match Shared::parse(b"", config.as_bytes()).standing("x") {
            Standing::Holds(_) => panic!("it holds nothing"),
            Standing::Left(why) => why,
        }
    };
    for line in
        ["rotakey  credential-process --profile=x", "'/a b/rotakey' credential-process --profile x"]
    {
        assert_eq!(standing(line), "rotakey serves it already", "{line}");
    }
    assert!(standing("rotakey credential-process --profile y").contains("another profile"));
    assert!(standing("aws-vault exec x").ends_with("aws-vault"));
    let why = standing("VAULT_TOKEN=s.xxx helper");
    assert!(!why.contains("s.xxx"), "{why}");
}

/// A line as files have them, or any bytes.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        8 => prop::sample::select(vec![
            "[x]", "[y]", "[profile x]", "[profile y]", "[default]", "[profile default]", "[DEFAULT]", "[ x ]", "  [y]",
            "[profile \"x\"]", "[sso-session x]", "[services x]", "[x] # c", "[x", "]", "[]",
        ]).prop_map(str::to_owned),
        12 => prop::sample::select(vec![
            "aws_access_key_id = AKIAEXAMPLE123456789", "aws_secret_access_key = s/e+c=r",
            "AWS_ACCESS_KEY_ID=AKIAEXAMPLE123456789", "  aws_secret_access_key: s/e+c=r",
            "aws_access_key_id = AKIAEXAMPLE123456789 # c", "\taws_access_key_id = AKIAEXAMPLE123456789",
            "aws_secret_access_key = s/e+c=r ; c", "aws_access_key_id = AKIAOTHER12345678900",
        ]).prop_map(str::to_owned),
        8 => prop::sample::select(vec![
            "region = eu-west-1", "output=json", "s3 =", "  addressing_style = path", "  max = 2", "# comment",
            "  # comment", "; comment", "", "   ", "role_arn = r", "garbage", "  garbage", "credential_process = other",
            "aws_session_token =",
        ]).prop_map(str::to_owned),
    ];
    let bytes = prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![9 => text.prop_map(String::into_bytes), 1 => bytes]
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let ends = prop::sample::select(vec!["\n", "\n", "\r\n"]);
    let lines = prop::collection::vec((any_line(), ends), 0..16);
    (lines, any::<bool>(), any::<bool>()).prop_map(|(lines, has_mark, has_end)| {
        let mut bytes = if has_mark { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        for (line, end) in &lines {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(end.as_bytes());
        }
        if !has_end && bytes.ends_with(b"\n") {
            bytes.pop();
        }
        bytes
    })
}

/// What every profile but one says, and what no profile says.
fn others(credentials: &[u8], config: &[u8], but: &str) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut all = Vec::new();
    for (kind, bytes) in [(Kind::Credentials, credentials), (Kind::Config, config)] {
        let facts = Document::parse(bytes).facts();
        let others = facts
            .sections
            .into_iter()
            .filter(|(name, _)| kind.profile(name).as_deref() != Some(but));
        all.extend(
            others
                .map(|(n, properties)| (n, properties.into_iter().map(|p| p.1.to_vec()).collect())),
        );
    }
    all
}

/// The lines that are no key's, and those that are.
fn sorted_lines(bytes: &[u8]) -> (Vec<&[u8]>, Vec<&[u8]>) {
    Document::parse(bytes).lines.into_iter().partition(|line| {
        let text = String::from_utf8_lossy(line).to_ascii_lowercase();
        !KEY.iter().any(|name| text.trim_start().starts_with(name))
    })
}

/// The lines of `after` that `before` does not have, if all others are there, in their order, byte for byte.
fn added<'a>(before: &[&[u8]], after: &[&'a [u8]]) -> Option<Vec<&'a [u8]>> {
    let mut before = before.iter().peekable();
    // A last line without an end gets one when another line follows.
    let has_end = |one: &[u8], other: &[u8]| {
        one.strip_prefix(other).is_some_and(|end| matches!(end, b"" | b"\n" | b"\r\n"))
    };
    let mut added = Vec::new();
    for line in after {
        if before.next_if(|next| has_end(line, next) || has_end(next, line)).is_none() {
            added.push(*line);
        }
    }
    before.next().is_none().then_some(added)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_its_lines(bytes in any_file()) {
        let document = Document::parse(&bytes);
        prop_assert!(document.lines.concat() == bytes);
        prop_assert!(Changes::default().apply(&document).expect("nothing to break") == bytes);
    }

    #[test]
    fn nothing_but_the_keys_lines_and_the_new_one_changes(
        credentials in any_file(), config in any_file()
    ) {
        let shared = Shared::parse(&credentials, &config);
        for profile in shared.profiles() {
            let Standing::Holds(_) = shared.standing(&profile) else { continue };
            let after = taken(&credentials, &config, &profile);
            let Ok((new_credentials, new_config)) = after else { continue };
            let mut came: Vec<&[u8]> = Vec::new();
            for (old, new) in [(&credentials, &new_credentials), (&config, &new_config)] {
                let ((old, old_keys), (new, new_keys)) = (sorted_lines(old), sorted_lines(new));
                let added = added(&old, &new);
                prop_assert!(added.is_some(), "a line is gone or changed: {old:?} {new:?}");
                came.extend(added.unwrap_or_default());
                // Keys go, and none comes.
                prop_assert!(self::added(&new_keys, &old_keys).is_some(), "{old_keys:?} {new_keys:?}");
            }
            // The line, the header of a new section and the blank before it, and comments that stood behind keys.
            came.iter_mut().for_each(|line| *line = line.trim_ascii());
            let line = line(&profile);
            let lines = came.iter().filter(|came| **came == line.as_bytes()).count();
            prop_assert!((1..=4).contains(&lines), "{came:?}");
            let is_known = |came: &[u8]| came == line.as_bytes() || matches!(came.first(), None | Some(b'#' | b';' | b'['));
            prop_assert!(came.iter().all(|line| is_known(line)), "{came:?}");
            let (before, after) = (others(&credentials, &config, &profile), others(&new_credentials, &new_config, &profile));
            prop_assert!(before == after, "{before:?} {after:?}");
            // The profile's own settings are what they were, and it holds no key any more.
            let after = Shared::parse(&new_credentials, &new_config);
            prop_assert!(matches!(after.standing(&profile), Standing::Left(why) if why.contains("already")));
            for name in ["region", "output", "s3"] {
                prop_assert_eq!(after.text(&profile, name), shared.text(&profile, name));
            }
        }
    }
}
