use std::path::Path;

use super::*;
use crate::shared_files::Kind;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";

fn key(id: &str) -> String {
    format!("aws_access_key_id = {id}\naws_secret_access_key = s\n")
}

fn files(credentials: &str, config: &str) -> SharedFiles {
    SharedFiles {
        credentials: File::read(
            Kind::Credentials,
            Path::new("/credentials"),
            credentials.as_bytes(),
        ),
        config: File::read(Kind::Config, Path::new("/config"), config.as_bytes()),
        older: OlderFiles::default(),
    }
}

fn sdk(id: &str) -> &'static Sdk {
    ALL.iter().find(|sdk| sdk.id == id).expect("known")
}

/// Each SDK's answer in a word and a place.
fn word(answer: Answer) -> String {
    match answer {
        Answer::Key { access_key_id, at } => format!("key {access_key_id} {at}"),
        Answer::Process { line, at } => format!("process {line} {at}"),
        Answer::Session { by, at } => format!("session {by} {at}"),
        Answer::Container { uri, .. } => format!("container {uri}"),
        Answer::Imds { endpoint } => format!("imds {endpoint}"),
        Answer::Nothing => "nothing".to_owned(),
        Answer::Fails { why, .. } => format!("fails: {why}"),
    }
}

fn say<const N: usize>(id: &str, env: [(&str, &str); N], files: &SharedFiles) -> String {
    word(answer(sdk(id), &Env::from(env), files))
}

#[test]
fn a_line_in_the_config_file_is_found_by_all_that_read_it() {
    let files = files("", "[profile deploy]\ncredential_process = rotakey p\n");
    for sdk in &ALL {
        let said = say(sdk.id, [("AWS_PROFILE", "deploy")], &files);
        match sdk.limit {
            None => assert_eq!(said, "process rotakey p /config:2", "{}", sdk.name),
            Some(_) => assert_eq!(said, format!("imds {EC2}"), "{}", sdk.name),
        }
    }
    for old in ["go-1", "js-2"] {
        let env = [("AWS_PROFILE", "deploy"), ("AWS_SDK_LOAD_CONFIG", "1")];
        assert_eq!(say(old, env, &files), "process rotakey p /config:2");
    }
}

#[test]
fn a_key_in_the_same_profile_wins_or_not_by_the_sdk() {
    let credentials = format!("[deploy]\n{}", key(ID));
    let config = "[profile deploy]\ncredential_process = rotakey p\n";
    let env = [("AWS_PROFILE", "deploy"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let apart = files(&credentials, config);
    let together = files("", &format!("{config}{}", key(ID)));
    let a_key = format!("key {ID} /credentials:2");
    for id in ["boto3", "aws-cli-1", "aws-cli-2", "js", "go-2", "cpp", "ruby", "php", "boto-2"] {
        assert_eq!(say(id, env, &apart), a_key, "{id}");
    }
    for id in ["rust", "java-2"] {
        assert_eq!(say(id, env, &apart), "process rotakey p /config:2", "{id}");
        assert_eq!(say(id, env, &together), "process rotakey p /config:2", "{id}");
    }
    assert!(say("dotnet", env, &apart).starts_with("fails: keys and credential_process"));
    // botocore looks for keys in the config file last.
    assert_eq!(say("boto3", env, &together), "process rotakey p /config:2");
    assert_eq!(say("js", env, &together), format!("key {ID} /config:3"));
}

#[test]
fn a_key_in_the_environment_wins_but_where_a_profile_is_named() {
    let files =
        files("", "[default]\ncredential_process = d\n[profile p]\ncredential_process = p\n");
    let keys = [("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", "s")];
    let [id, secret] = keys;
    for sdk in ALL.iter().filter(|sdk| sdk.id != "dotnet") {
        assert_eq!(say(sdk.id, keys, &files), format!("key {ID} $AWS_ACCESS_KEY_ID"), "{}", sdk.id);
    }
    assert_eq!(say("dotnet", keys, &files), "process d /config:2");
    let named = [id, secret, ("AWS_PROFILE", "p")];
    assert_eq!(say("js", named, &files), "process p /config:4");
    assert_eq!(say("boto3", named, &files), format!("key {ID} $AWS_ACCESS_KEY_ID"));
    // Half a key.
    assert!(say("boto3", [id], &files).starts_with("fails: AWS_ACCESS_KEY_ID is set, and"));
    assert_eq!(say("js", [id], &files), "process d /config:2");
}

#[test]
fn what_else_comes_first() {
    let role = "[profile p]\nrole_arn = arn\nsource_profile = q\ncredential_process = p\n";
    let env = [("AWS_PROFILE", "p")];
    for id in ["boto3", "js", "rust", "go-2", "java-2"] {
        assert_eq!(say(id, env, &files("", role)), "session role_arn /config:2", "{id}");
    }
    // A web identity of the environment: before the profile in botocore, after it in others.
    let line = files("", "[profile p]\ncredential_process = p\n");
    let [profile] = env;
    let token = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t");
    let taken = "session AWS_WEB_IDENTITY_TOKEN_FILE $AWS_WEB_IDENTITY_TOKEN_FILE";
    for id in ["boto3", "aws-cli-1", "aws-cli-2"] {
        assert_eq!(say(id, [profile, token, ("AWS_ROLE_ARN", "arn")], &line), taken, "{id}");
        assert!(say(id, [profile, token], &line).starts_with("fails: a web identity"), "{id}");
        let arn = files("", "[profile p]\nrole_arn = arn\ncredential_process = p\n");
        assert_eq!(say(id, [profile, token], &arn), taken, "{id}: the ARN is the profile's");
    }
    assert_eq!(say("js", [profile, token, ("AWS_ROLE_ARN", "arn")], &line), "process p /config:2");
    let sso = "[profile p]\nsso_session = s\nsso_account_id = 1\ncredential_process = p\n";
    assert_eq!(say("boto3", env, &files("", sso)), "session sso_session /config:2");
    assert_eq!(say("js", env, &files("", sso)), "process p /config:4");
    // Two profile variables: not the same one goes first.
    let two = "[profile p]\ncredential_process = p\n[profile q]\ncredential_process = q\n";
    let env = [("AWS_PROFILE", "p"), ("AWS_DEFAULT_PROFILE", "q")];
    assert_eq!(say("boto3", env, &files("", two)), "process q /config:4");
    assert_eq!(say("go-2", env, &files("", two)), "process p /config:2");
    // JavaScript v2 asks the container endpoint before it runs a process.
    let env = [
        ("AWS_PROFILE", "p"),
        ("AWS_SDK_LOAD_CONFIG", "1"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x"),
    ];
    assert_eq!(say("js-2", env, &files("", two)), "container http://127.0.0.1:1/x");
    assert_eq!(say("boto3", env, &files("", two)), "process p /config:2");
}

#[test]
fn botocore_reads_the_files_of_older_tools_before_it_asks_an_endpoint() {
    let boto = format!("[Credentials]\n{}", key(ID));
    let say = |env: &[(&str, &str)], there: &[(&str, &str)]| {
        let read = |path: &Path| {
            there.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| *text)
        };
        let env = env.iter().fold(Env::default(), |env, (name, value)| env.with(name, Some(value)));
        let older = OlderFiles::read(&env, read);
        word(answer(sdk("boto3"), &env, &SharedFiles { older, ..SharedFiles::default() }))
    };
    let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x");
    let base = [("HOME", "/home"), container];
    assert_eq!(say(&base, &[]), "container http://127.0.0.1:1/x");
    assert_eq!(say(&base, &[("/home/.boto", &boto)]), format!("key {ID} /home/.boto:2"));
    let other = "[Credentials]\naws_access_key_id = OTHER\naws_secret_access_key = s\n";
    let both = [("/home/.boto", boto.as_str()), ("/etc/boto.cfg", other)];
    assert_eq!(say(&base, &both), "key OTHER /etc/boto.cfg:2");
    let [home, uri] = base;
    let elsewhere = [home, uri, ("BOTO_CONFIG", "~/b")];
    assert_eq!(say(&elsewhere, &both), "container http://127.0.0.1:1/x");
    let first = [home, uri, ("AWS_CREDENTIAL_FILE", "/c")];
    let text = "# x\nAWSAccessKeyId=FIRST\nAWSSecretKey=s\n";
    assert_eq!(say(&first, &[("/c", text), both[0]]), "key FIRST /c:2");
    assert_eq!(say(&first, &[both[0]]), "fails: there is no file /c");
    assert_eq!(say(&first, &[("/c", "x"), both[0]]), format!("key {ID} /home/.boto:2"));
    let half = "[Credentials]\naws_access_key_id = HALF\n";
    assert_eq!(say(&base, &[("/home/.boto", half)]), "fails: there is no secret with it");
}

#[test]
fn the_endpoints_come_last() {
    let none = SharedFiles::default();
    let both = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/y"),
    ];
    assert_eq!(say("boto3", both, &none), "container http://169.254.170.2/y");
    assert_eq!(say("go-2", both, &none), "container http://127.0.0.1:1/x");
    let imds = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:2/")];
    assert_eq!(say("js", imds, &none), "imds http://127.0.0.1:2");
    assert_eq!(say("boto-2", imds, &none), format!("imds {EC2}"));
    assert_eq!(say("js", [("AWS_EC2_METADATA_DISABLED", "true")], &none), "nothing");
}

#[test]
fn what_is_there_twice_or_not_at_all_stops_some() {
    let twice = files("", "[default]\ncredential_process = a\n[default]\nregion = x\n");
    assert!(say("boto3", [], &twice).starts_with("fails: [default] is there twice"));
    assert_eq!(say("js", [], &twice), "process a /config:2");
    let odd = files("[default]\nwhat is this\n", "");
    assert!(say("aws-cli-2", [], &odd).starts_with("fails: a line that is no setting"));
    let absent = [("AWS_PROFILE", "absent"), ("AWS_EC2_METADATA_DISABLED", "true")];
    assert_eq!(say("boto3", absent, &SharedFiles::default()), "fails: there is no profile absent");
    assert_eq!(say("js", absent, &SharedFiles::default()), "nothing");
}
