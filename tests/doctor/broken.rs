//! What is planted is found, with its place; and what can be mended by a command is mended by the one that is named.

use super::patient::{Finding, Patient};

/// A thing that is wrong.
struct Broken {
    name: &'static str,
    plant: fn(&mut Patient),
    /// The check that finds it, how bad it is, and what it names.
    id: &'static str,
    verdict: &'static str,
    names: &'static str,
    /// Following the command mends it; without a command there is a hint.
    mended: bool,
}

const KEY: &str = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = abc\n";

const fn bad(
    name: &'static str,
    id: &'static str,
    names: &'static str,
    plant: fn(&mut Patient),
) -> Broken {
    Broken { name, plant, id, verdict: "bad", names, mended: true }
}

const fn warning(
    name: &'static str,
    id: &'static str,
    names: &'static str,
    plant: fn(&mut Patient),
) -> Broken {
    Broken { verdict: "warning", ..bad(name, id, names, plant) }
}

const fn by_hand(broken: Broken) -> Broken {
    Broken { mended: false, ..broken }
}

const ALL: [Broken; 35] = [
    bad("a stranger's key in the environment", "env.keys", "$AWS_ACCESS_KEY_ID", |p| {
        p.put("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
        p.put("AWS_SECRET_ACCESS_KEY", "abc");
    }),
    bad("a copy of the key in the environment", "env.keys", "a copy of app's key", |p| {
        let (id, secret) = (p.world.id.clone(), p.world.secret.clone());
        p.put("AWS_ACCESS_KEY_ID", &id);
        p.put("AWS_SECRET_ACCESS_KEY", &secret);
    }),
    warning("a token that was left", "env.keys", "$AWS_SESSION_TOKEN", |p| {
        p.put("AWS_SESSION_TOKEN", "left");
    }),
    warning("a shell of aws-vault", "env.keys", "AWS_VAULT=prod", |p| p.put("AWS_VAULT", "prod")),
    bad("a web identity", "env.identity", "AWS_WEB_IDENTITY_TOKEN_FILE=/t", |p| {
        p.put("AWS_WEB_IDENTITY_TOKEN_FILE", "/t");
        p.put("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x");
    }),
    warning("another profile", "env.profile", "AWS_PROFILE=other", |p| {
        p.put("AWS_PROFILE", "other")
    }),
    bad("two profiles", "env.profile", "AWS_DEFAULT_PROFILE=other", |p| {
        p.put("AWS_DEFAULT_PROFILE", "other");
    }),
    bad("a config file that is not there", "env.files", "AWS_CONFIG_FILE=/nowhere/config", |p| {
        p.put("AWS_CONFIG_FILE", "/nowhere/config");
    }),
    warning("a path with ~", "env.files", "AWS_CONFIG_FILE=~/.aws/config", |p| {
        p.put("AWS_CONFIG_FILE", "~/.aws/config");
    }),
    warning("a key file of old tools", "env.files", "AWS_CREDENTIAL_FILE", |p| {
        p.put("AWS_CREDENTIAL_FILE", "/etc/keys");
    }),
    bad("both container variables", "env.container", "RELATIVE_URI", |p| {
        p.follow("eval \"$(rotakey env app --source container)\"");
        p.put("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x");
    }),
    warning("ECS's variable", "env.container", "ECS", |p| {
        p.put("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x");
    }),
    bad("an agent that is elsewhere now", "env.container", "127.0.0.1:9/credentials/app", |p| {
        p.put("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/credentials/app");
    }),
    bad("no token", "env.token", "is set", |p| {
        p.follow("eval \"$(rotakey env app --source container)\"");
        p.follow("unset AWS_CONTAINER_AUTHORIZATION_TOKEN AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    }),
    bad(
        "a token that was revoked",
        "env.token",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN is not app's",
        |p| {
            p.follow("eval \"$(rotakey env app --source container)\"; rotakey revoke app");
        },
    ),
    bad("a token file with a newline", "env.token", "ends in a newline", |p| {
        p.follow(
            "eval \"$(rotakey env app --source container)\"
             echo \"$AWS_CONTAINER_AUTHORIZATION_TOKEN\" > ~/token
             export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=$HOME/token",
        );
    }),
    warning("only one form of the token", "env.token", "TOKEN_FILE is not set", |p| {
        p.follow("eval \"$(rotakey env app --source container)\"");
        p.follow("unset AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    }),
    bad("IMDS elsewhere", "env.imds", "http://127.0.0.1:9/", |p| {
        p.put("AWS_EC2_METADATA_DISABLED", "");
        p.put("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9/");
    }),
    warning("IMDS without a slash", "env.imds", "slash", |p| {
        p.put("AWS_EC2_METADATA_DISABLED", "");
        let at = p.agent.as_ref().unwrap().listen();
        p.put("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{at}"));
    }),
    bad("IMDS set and switched off", "env.imds", "AWS_EC2_METADATA_DISABLED=true", |p| {
        let at = p.agent.as_ref().unwrap().listen();
        p.put("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{at}/"));
    }),
    warning("a proxy", "env.proxy", "HTTP_PROXY", |p| p.put("HTTP_PROXY", "http://proxy:3128")),
    bad("a proxy before IMDS", "env.proxy", "http_proxy", |p| {
        let at = p.agent.as_ref().unwrap().listen();
        p.put("AWS_EC2_METADATA_DISABLED", "");
        p.put("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{at}/"));
        p.put("http_proxy", "http://proxy:3128");
        p.put("no_proxy", "corp");
    }),
    warning("endpoints switched off", "env.endpoints", "endpoint_url at", |p| {
        p.append("endpoint_url = http://127.0.0.1:1\n");
        p.put("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    }),
    by_hand(bad(
        "a section twice",
        "files.form",
        ".aws/config:4: [profile app] is there twice",
        |p| {
            p.append("[profile app]\nregion = eu-west-1\n");
        },
    )),
    bad("a line that is nothing", "files.form", ".aws/config:4", |p| p.append("what is this\n")),
    by_hand(bad("a key in the profile", "files.keys", ".aws/credentials:2", |p| {
        p.write(".aws/credentials", &format!("[app]\n{KEY}"));
    })),
    bad("the key in its own profile", "files.keys", ".aws/credentials:2", |p| {
        let (id, secret) = (p.world.id.clone(), p.world.secret.clone());
        let text = format!("[app]\naws_access_key_id={id}\naws_secret_access_key={secret}\n");
        p.write(".aws/credentials", &text);
    }),
    bad("a copy in another profile", "files.copies", ".aws/credentials:3: [ci]", |p| {
        let (id, secret) = (p.world.id.clone(), p.world.secret.clone());
        let text =
            format!("# ours\n[ci]\naws_access_key_id={id}\naws_secret_access_key={secret}\n");
        p.write(".aws/credentials", &text);
        // `import` asks STS for the user.
        p.append(&format!("[profile ci]\nendpoint_url = {}\n", p.world.url));
    }),
    warning("no line", "files.line", "no credential_process", |p| {
        p.write(".aws/config", "[profile app]\nregion = us-east-1\n");
    }),
    bad("a line for a program that is gone", "files.line", ".aws/config:2: /gone/rotakey", |p| {
        let line = "credential_process = /gone/rotakey credential-process --profile app";
        p.write(".aws/config", &format!("[profile app]\n{line}\n"));
    }),
    bad("another tool's line", "files.line", "runs aws-vault", |p| {
        p.write(".aws/config", "[profile app]\ncredential_process = aws-vault exec app --json\n");
    }),
    bad("another tool's line with a secret", "files.line", "runs another program", |p| {
        let line = "credential_process = VAULT_TOKEN=s.xxx helper";
        p.write(".aws/config", &format!("[profile app]\n{line}\n"));
    }),
    by_hand(bad("a pipe in the place of a file", "files.form", ".aws/credentials", |p| {
        p.follow("mkfifo ~/.aws/credentials");
    })),
    bad("a line for nobody", "files.line", "nobody is no profile", |p| {
        let line = p.line().replace("--profile app", "--profile nobody");
        p.write(".aws/config", &format!("[profile app]\n{line}\n"));
    }),
    bad("a config file that others write", "files.modes", ".aws/config", |p| {
        p.follow("chmod 666 ~/.aws/config");
    }),
];

/// Those of one check that are not as they should be.
fn amiss<'a>(found: &'a [(String, Finding)], id: &str) -> Vec<&'a Finding> {
    let those = found.iter().filter(|(found, finding)| found == id && finding.verdict != "ok");
    those.map(|(_, finding)| finding).collect()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let patient = Patient::healthy();
    let (code, found) = patient.doctor(&[]);
    let not_ok: Vec<_> = found.iter().filter(|(_, finding)| finding.verdict != "ok").collect();
    assert!(not_ok.is_empty() && code == 0, "{code} {not_ok:#?}");
    for id in
        ["sources", "account.key", "account.permissions", "keystore", "agent", "port", "clock"]
    {
        assert!(found.iter().any(|(found, _)| found == id), "{id} was looked at: {found:#?}");
    }
    let (code, text, talk) = patient.rotakey(&["doctor", "app"]);
    assert_eq!((code, talk.as_str()), (0, ""));
    assert!(text.ends_with("all is well\n"), "{text}");
    assert!(!text.contains('\x1b'), "no colour is needed: {text}");
    assert!(!text.contains(&patient.world.secret));
}

#[test]
fn what_is_planted_is_found_and_mended_by_what_is_said() {
    let some: Vec<&[Broken]> = ALL.chunks(ALL.len().div_ceil(3)).collect();
    std::thread::scope(|scope| {
        for some in some {
            scope.spawn(move || some.iter().for_each(is_found_and_mended));
        }
    });
}

fn is_found_and_mended(broken: &Broken) {
    let name = broken.name;
    let mut patient = Patient::healthy();
    (broken.plant)(&mut patient);
    let (code, found) = patient.doctor(&[]);
    let amiss_now = amiss(&found, broken.id);
    let it = amiss_now.iter().find(|finding| finding.found.contains(broken.names));
    let it = it.unwrap_or_else(|| panic!("{name}: not found: {found:#?}"));
    assert_eq!(it.verdict, broken.verdict, "{name}: {it:?}");
    if broken.verdict == "bad" {
        assert!(code == 1 || code == 5, "{name}: {code}");
    }
    if !broken.mended {
        assert!(it.hint.is_some() && it.command.is_none(), "{name}: {it:?}");
        return;
    }
    let all = format!("{found:?}");
    assert!(!all.contains("s.xxx"), "{name}: {all}");
    let command = it.command.clone().unwrap_or_else(|| panic!("{name}: no command: {it:?}"));
    patient.follow(&command);
    let (code, found) = patient.doctor(&[]);
    let left = amiss(&found, broken.id);
    assert!(left.is_empty(), "{name}: `{command}` did not mend it: {left:#?}");
    // What the SDKs would use is mended with it.
    let bad: Vec<_> = found.iter().filter(|(_, finding)| finding.verdict == "bad").collect();
    assert!(bad.is_empty() && code == 0, "{name}: after `{command}`: {bad:#?}");
}
