//! Files as people have them: what was not taken reads as before, and what was taken is the same user as before.

use serde_json::Value;

use super::stage::{Stage, chmod, mode};

const KEY1: &str = "aws_access_key_id = <ID1>\naws_secret_access_key = <SECRET1>\n";
const KEY2: &str = "aws_access_key_id = <ID2>\naws_secret_access_key = <SECRET2>\n";

/// A pair of files, the profiles that `--all` takes, and whether only lenient readers can read them.
struct Case {
    name: &'static str,
    credentials: Vec<u8>,
    config: Vec<u8>,
    taken: Vec<&'static str>,
    lenient: bool,
}

fn case(name: &'static str, credentials: &str, config: &str, taken: &[&'static str]) -> Case {
    let (credentials, config) = (credentials.as_bytes().to_vec(), config.as_bytes().to_vec());
    Case { name, credentials, config, taken: taken.to_vec(), lenient: false }
}

fn lenient(name: &'static str, credentials: &[u8], config: &[u8], taken: &[&'static str]) -> Case {
    let (credentials, config) = (credentials.to_vec(), config.to_vec());
    Case { name, credentials, config, taken: taken.to_vec(), lenient: true }
}

/// Everything but what was meant to change is the same.
fn assert_same(case: &str, stage: &Stage, taken: &[&str], before: &Value, after: &Value) {
    assert_eq!(before["error"], after["error"], "{case}");
    assert_eq!(before["sections"], after["sections"], "{case}");
    let (mut before, mut after) = (before.clone(), after.clone());
    for name in taken {
        let was = before["who"][name].take();
        let is = after["who"][name].take();
        assert_eq!(was["arn"], is["arn"], "{case}: {name}: {was} {is}");
        assert!(was["arn"].is_string(), "{case}: {name}: {was}");
        assert_eq!(was["access_key_id"], is["access_key_id"], "{case}: {name}");
        assert_ne!(was["method"], "custom-process", "{case}: {name}");
        assert_eq!(is["method"], "custom-process", "{case}: {name}: {is}");
        let settings = |answers: &mut Value| {
            let mut settings = answers["profiles"][name].take();
            for key in ["aws_access_key_id", "aws_secret_access_key", "credential_process"] {
                settings.as_object_mut().map(|settings| settings.remove(key));
            }
            settings
        };
        assert_eq!(settings(&mut before), settings(&mut after), "{case}: {name}");
    }
    assert_eq!(before["profiles"], after["profiles"], "{case}");
    assert_eq!(before["who"], after["who"], "{case}");
    for (name, (id, secret)) in &stage.keys {
        let is_taken = before["who"].to_string().contains(id.as_str());
        for path in [&stage.credentials, &stage.config] {
            let text = String::from_utf8_lossy(&stage.read(path)).into_owned();
            let says_so = text.contains("kept-copy");
            assert!(is_taken || says_so || !text.contains(secret), "{case}: key {name} in {text}");
        }
    }
}

/// Every line of the file before is in the file after, in order, but those of keys.
fn assert_lines_kept(case: &str, before: &[u8], after: &[u8]) {
    let mut after = after.split_inclusive(|byte| *byte == b'\n');
    for line in before.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line).to_lowercase();
        let is_key = ["aws_access_key_id", "aws_secret_access_key"]
            .iter()
            .any(|name| text.trim_start().starts_with(name));
        let is_there = |next: &[u8]| {
            next == line
                || next
                    .strip_suffix(b"\n")
                    .is_some_and(|n| n == line || n.strip_suffix(b"\r") == Some(line))
        };
        assert!(is_key || after.any(is_there), "{case}: {text:?} is gone");
    }
}

fn plain() -> Vec<Case> {
    vec![
        case("one default key", &format!("[default]\n{KEY1}"), "", &["default"]),
        case(
            "the config file has it all",
            "",
            &format!("[default]\nregion = eu-west-1\n{KEY1}output = json\n[profile x]\n{KEY2}"),
            &["default", "x"],
        ),
        case(
            "comments everywhere",
            &format!(
                "# top\n; top too\n[default] # mine\n# before\n{KEY1}; after\n\n# of the next\n[work]\n# a\naws_access_key_id = <ID2>\n# between\n  # indented\naws_secret_access_key = <SECRET2>\n# end"
            ),
            "# c\n[default]\n# in\nregion = us-west-2\n# tail\n\n[profile work]\n; none\n# last",
            &["default", "work"],
        ),
        case(
            "ends of lines of Windows",
            &format!("[default]\n{KEY1}\n[other]\nregion = a\n").replace('\n', "\r\n"),
            "[default]\r\nregion = eu-west-1\r\n\r\n[profile other]\r\noutput = text",
            &["default"],
        ),
        case(
            "ends of lines of both kinds, and tabs",
            "[default]\r\naws_access_key_id\t=\t<ID1>\naws_secret_access_key =<SECRET1>\r\n\n[x]\naws_access_key_id:<ID2>\r\nAWS_SECRET_ACCESS_KEY : <SECRET2>",
            "[profile\tx]\nregion\t= eu-west-1\n",
            &["default", "x"],
        ),
        case(
            "no end of the last line",
            &format!("[a]\nregion = r\n[default]\n{}", KEY1.trim_end()),
            "[default]\nregion = eu-west-1",
            &["default"],
        ),
        case(
            "sub-settings",
            &format!("[default]\n{KEY1}s3 =\n  max_concurrent_requests = 20\n"),
            "[default]\nregion = eu-west-1\ns3 =\n    addressing_style = path\n\n    max_queue_size = 1000\n  signature_version = s3v4\n\n[profile y]\nregion = z\n",
            &["default"],
        ),
        case(
            "everything indented",
            "  [default]\n  aws_access_key_id = <ID1>\n  aws_secret_access_key = <SECRET1>\n  [x]\n  aws_access_key_id = <ID2>\n  aws_secret_access_key = <SECRET2>\n",
            " [default]\n   region = eu-west-1\n [profile x]\n   region = eu-west-2\n   output = json\n [profile z]\n   region = q\n",
            &["default", "x"],
        ),
        case(
            "one key in three profiles",
            &format!("[default]\n{KEY1}[b]\n{KEY1}[c]\n{KEY2}"),
            &format!("[profile d]\n{KEY1}region = eu-central-1\n"),
            &["default", "b", "c", "d"],
        ),
        case(
            "the same key in both files",
            &format!("[x]\n{KEY1}"),
            &format!("[profile x]\n{KEY1}region = eu-central-1\n"),
            &["x"],
        ),
        case(
            "sections of either form in either file",
            &format!("[default]\n{KEY1}[profile x]\nregion = in-the-wrong-file\n[y]\n{KEY2}"),
            "[profile default]\nregion = a\n[y]\nregion = no-profile\n[profile \"y\"]\nregion = b\n[profile 'z w']\nregion = c\n",
            &["default", "y"],
        ),
        case(
            "roles, sso, sessions and processes of others",
            &format!(
                "[base]\n{KEY1}[temp]\naws_access_key_id = ASIAEXAMPLE123456789\naws_secret_access_key = x\naws_session_token = t\n[half]\naws_access_key_id = <ID2>\n[minio]\naws_access_key_id = minio\naws_secret_access_key = minio123\n"
            ),
            "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = base\n[profile sso]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = r\n[sso-session corp]\nsso_start_url = https://x\nsso_region = eu-west-1\n[services local]\niam =\n  endpoint_url = <URL>\n[profile other]\ncredential_process = /bin/false\n[profile empty]\n[plugins]\nx = y\n",
            &["base"],
        ),
        case(
            "urls of services",
            &format!("[default]\n{KEY1}"),
            "[default]\nservices = local\nregion = eu-west-1\n[services local]\nsts =\n  endpoint_url = <URL>\niam =\n  endpoint_url = <URL>\n",
            &["default"],
        ),
    ]
}

fn odd() -> Vec<Case> {
    let key1 = KEY1.as_bytes();
    vec![
        lenient(
            "sections and keys that come twice",
            format!("[x]\n{KEY1}[y]\nregion = a\n[x]\nregion = b\n{KEY1}[y]\noutput = c\n")
                .as_bytes(),
            b"[profile x]\nregion = 1\n[profile x]\nregion = 2\nregion = 3\n",
            &["x"],
        ),
        lenient(
            "a byte order mark",
            &[b"\xef\xbb\xbf[x]\n", key1].concat(),
            b"\xef\xbb\xbf[profile x]\nregion = a\n",
            &["x"],
        ),
        lenient(
            "bytes that are no UTF-8",
            &[b"# caf\xe9 \xff\xfe\n[x]\n", key1, b"# \x80\n[y\xe9]\nregion = \xe9t\xe9\n"]
                .concat(),
            b"[profile x]\n# \xfc\nregion = eu-west-1\n[profile caf\xe9]\noutput = \xe9\n",
            &["x"],
        ),
    ]
}

#[test]
fn everything_else_reads_as_before_and_what_is_taken_is_the_same_user() {
    let cases = std::sync::Mutex::new(plain().into_iter().chain(odd()).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(case) = cases.lock().unwrap().pop() else { return };
                    case.check();
                }
            });
        }
    });
}

impl Case {
    fn check(&self) {
        let (name, case) = (self.name, self);
        let stage = Stage::new(&case.credentials, &case.config);
        stage
            .world
            .control(serde_json::json!({"op": "create-role", "role": "reader", "trust": ["*"]}));
        let strict = stage.answers(false, &[]);
        let before = stage.answers(case.lenient, &[]);
        let files = [stage.read(&stage.credentials), stage.read(&stage.config)];
        let run = stage.expect(0, &["-vvv", "import", "--all"]);
        assert_same(name, &stage, &case.taken, &before, &stage.answers(case.lenient, &[]));
        if case.lenient {
            let after = stage.answers(false, &[]);
            assert_eq!(strict["error"], after["error"], "{name}: who cannot read it still cannot");
            assert!(strict["error"].is_string(), "{name}: {strict}");
        }
        assert_lines_kept(name, &files[0], &stage.read(&stage.credentials));
        assert_lines_kept(name, &files[1], &stage.read(&stage.config));
        assert_eq!(stage.leftovers(), [""; 0].map(Into::into) as [std::path::PathBuf; 0], "{name}");
        // Once more, there is nothing to do.
        let files = [stage.read(&stage.credentials), stage.read(&stage.config)];
        stage.expect(0, &["import", "--all"]);
        assert_eq!(files, [stage.read(&stage.credentials), stage.read(&stage.config)], "{name}");
        for secret in stage.keys.values().map(|(_, secret)| secret) {
            assert!(
                !run.stderr.contains(secret) && !run.stdout.contains(secret),
                "{name}: {run:?}"
            );
        }
    }
}

#[test]
fn a_comment_behind_a_key_is_kept_and_the_key_works() {
    // botocore takes the comment for a part of the key; other SDKs do not.
    let text =
        "[x]\naws_access_key_id = <ID1> # since May\naws_secret_access_key = <SECRET1> ; mine\n";
    let stage = Stage::new(text.as_bytes(), b"");
    stage.expect(0, &["import", "--profile", "x"]);
    assert_eq!(stage.read(&stage.credentials), b"[x]\n# since May\n; mine\n");
    assert_eq!(stage.answers(false, &["x"])["who"]["x"]["access_key_id"], stage.id("1"));
}

#[test]
fn five_hundred_profiles() {
    let (mut credentials, mut config) = (String::new(), String::new());
    for n in 0..500 {
        let key = match n % 50 {
            0 => "aws_access_key_id = <ID1>\naws_secret_access_key = <SECRET1>\n",
            1 => "aws_access_key_id = <ID2>\naws_secret_access_key = <SECRET2>\n",
            _ => {
                "aws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = x\naws_session_token = t\n"
            }
        };
        credentials.push_str(&format!("# {n}\n[p{n}]\n{key}\n"));
        config.push_str(&format!("[profile p{n}]\nregion = eu-west-{n}\n"));
    }
    let stage = Stage::new(credentials.as_bytes(), config.as_bytes());
    let some = ["p0", "p1", "p2", "p450", "p499"];
    let before = stage.answers(false, &some);
    stage.expect(0, &["import", "--all"]);
    let after = stage.answers(false, &some);
    let taken: Vec<String> = (0..500).filter(|n| n % 50 < 2).map(|n| format!("p{n}")).collect();
    let (mut before, mut after) = (before, after);
    for name in &taken {
        for key in ["aws_access_key_id", "aws_secret_access_key", "credential_process"] {
            for answers in [&mut before, &mut after] {
                answers["profiles"][name].as_object_mut().unwrap().remove(key);
            }
        }
    }
    assert_eq!(before["profiles"], after["profiles"]);
    for name in some {
        let arn = |answers: &Value| answers["who"][name]["arn"].clone();
        assert_eq!(arn(&before), arn(&after), "{name}");
    }
    let text = String::from_utf8(stage.read(&stage.credentials)).unwrap();
    assert!(!text.contains(stage.secret("1")) && !text.contains(stage.secret("2")));
    assert_eq!(text.matches("# ").count(), 500);
}

#[test]
fn links_modes_and_groups_stay() {
    let stage = Stage::new(format!("[x]\n{KEY1}").as_bytes(), b"[profile x]\nregion = eu-west-1\n");
    let real = stage.world.home.path().join("dotfiles");
    std::fs::create_dir(&real).unwrap();
    for path in [&stage.credentials, &stage.config] {
        let target = real.join(path.file_name().unwrap());
        std::fs::rename(path, &target).unwrap();
        // By way of another link, and relative.
        std::os::unix::fs::symlink(&target, path.with_extension("link")).unwrap();
        std::os::unix::fs::symlink(path.with_extension("link").file_name().unwrap(), path).unwrap();
    }
    chmod(&real.join("credentials"), 0o640);
    chmod(&real.join("config"), 0o644);
    std::os::unix::fs::chown(real.join("credentials"), None, Some(12345)).unwrap();
    let before = stage.answers(false, &[]);
    let run = stage.expect(0, &["import", "--all"]);
    assert!(run.stderr.contains("can be read by others (mode 0640)"), "{run:?}");
    assert_same("links", &stage, &["x"], &before, &stage.answers(false, &[]));
    for path in [&stage.credentials, &stage.config] {
        assert!(std::fs::symlink_metadata(path).unwrap().is_symlink());
        assert!(std::fs::symlink_metadata(path.with_extension("link")).unwrap().is_symlink());
    }
    assert_eq!(mode(&real.join("credentials")), 0o640);
    assert_eq!(mode(&real.join("config")), 0o644);
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(real.join("credentials")).unwrap().gid(), 12345);
    assert_eq!(std::fs::read_dir(&real).unwrap().count(), 2, "nothing is left over");
}

#[test]
fn the_aws_cli_says_the_same() {
    let credentials = format!(
        "[default]\n{KEY1}[other]\naws_access_key_id = <OLDID>\naws_secret_access_key = <OLDSECRET>\naws_session_token = t\n"
    );
    let config = "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n[profile other]\noutput = table\n";
    let stage = Stage::new(credentials.as_bytes(), config.as_bytes());
    let all = || {
        let mut answers = Vec::new();
        for args in [
            &["configure", "get", "region"][..],
            &["configure", "get", "default.s3.addressing_style"],
            &["configure", "get", "output", "--profile", "other"],
            &["configure", "get", "aws_secret_access_key", "--profile", "other"],
            &["configure", "list-profiles"],
            &["sts", "get-caller-identity", "--output", "text"],
        ] {
            let run = stage.aws(args);
            answers.push((args.join(" "), run.code, run.stdout));
        }
        answers
    };
    let before = all();
    assert!(before.last().unwrap().2.contains(":user/app"), "{before:?}");
    stage.expect(0, &["import", "--profile", "default"]);
    assert_eq!(before, all());
    let list = stage.aws(&["configure", "list"]);
    assert!(list.stdout.contains("custom-process"), "{list:?}");
}
