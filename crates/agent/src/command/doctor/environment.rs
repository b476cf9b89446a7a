//! The caller's environment: what its programs would see first.

use std::net::SocketAddr;

use super::check::Check;
use super::scene::{Scene, places, quoted};
use crate::chains::EC2;
use crate::config::Env;
use crate::placeholder;
use crate::serving::token;
use crate::shared_files;
use crate::store::disk;

const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const IMDS: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const IMDS_OFF: &str = "AWS_EC2_METADATA_DISABLED";

/// Variables of keys, those of the old ones included.
const KEYS: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCESS_KEY",
    "AMAZON_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AMAZON_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
];

/// What leads a program to the proxy.
const PROXIES: [&str; 3] = ["AWS_ENDPOINT_URL", "HTTPS_PROXY", "https_proxy"];

/// Those of a web identity: some SDKs look there before any profile.
const WEB_IDENTITY: [&str; 3] =
    ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME"];

/// All of them; `profiles` are those that are looked at.
pub(super) fn checks(scene: &Scene<'_>, profiles: &[String]) -> Vec<Check> {
    let env = &scene.app.env;
    let mut checks = vec![keys(scene, env), web_identity(env), profile(scene, env), files(env)];
    checks.extend(vault(env));
    checks.extend(container(scene, env));
    checks.extend(token(scene, env));
    checks.extend(imds(scene, env));
    checks.push(proxy(scene, env));
    checks.extend(endpoints(scene, env, profiles));
    checks
}

fn unset<'a>(env: &Env, names: impl IntoIterator<Item = &'a str>) -> String {
    let set: Vec<&str> = names.into_iter().filter(|name| env.get(name).is_some()).collect();
    format!("unset {}", set.join(" "))
}

fn keys(scene: &Scene<'_>, env: &Env) -> Check {
    let Some((name, id)) = KEYS[..3].iter().find_map(|name| Some((*name, env.get(name)?))) else {
        let Some(rest) = KEYS.iter().find(|name| env.get(name).is_some()) else {
            return Check::ok("env.keys", "no access key in it");
        };
        return Check::warning("env.keys", format!("${rest} is set without an access key id"))
            .hint("it is a leftover: some SDKs send it along with another key")
            .run(unset(env, KEYS));
    };
    // The proxy's: worthless outside this machine.
    if is_placeholder(env, id) {
        return Check::ok(
            "env.keys",
            format!("${name} is a placeholder, which signs for the proxy"),
        );
    }
    let what = match scene.holder_of(id) {
        Some(holder) => format!("a copy of {holder}'s key: it will not be the next one"),
        None => "no key of rotakey's".to_owned(),
    };
    Check::bad("env.keys", format!("${name} holds {id}, {what}; SDKs take it first"))
        .hint("in this shell, then where it is exported from (~/.profile, ~/.bashrc, a unit, .env)")
        .run(unset(env, KEYS))
}

fn web_identity(env: &Env) -> Check {
    let [file, arn, _] = WEB_IDENTITY;
    // An ARN alone asks for nothing.
    let Some(path) = env.get(file) else {
        return Check::ok("env.identity", "no web identity in it");
    };
    let what = match env.get(arn) {
        Some(arn) => format!("SDKs take the role {arn} with it, before the profile or after"),
        None => format!("{arn} is not set: boto3 and the AWS CLI fail, unless a profile has it"),
    };
    Check::bad("env.identity", format!("{file}={path}: {what}"))
        .hint("in this shell, then where it is exported from")
        .run(unset(env, WEB_IDENTITY))
}

/// Whether a key id is a placeholder, and the environment leads to a proxy of this machine.
pub(super) fn is_placeholder(env: &Env, id: &str) -> bool {
    let leads_here = |name: &&str| {
        let url = env.get(name).unwrap_or_default();
        let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
        let at = host.and_then(|host| host.parse::<SocketAddr>().ok());
        at.is_some_and(|at| at.ip().is_loopback())
    };
    placeholder::is_placeholder(id) && PROXIES.iter().any(leads_here)
}

/// Whether programs of this environment sign for the proxy.
pub(super) fn is_proxied(env: &Env) -> bool {
    env.get(KEYS[0]).is_some_and(|id| is_placeholder(env, id))
}

fn profile(scene: &Scene<'_>, env: &Env) -> Check {
    let (one, other) = (env.get("AWS_PROFILE"), env.get("AWS_DEFAULT_PROFILE"));
    if let (Some(one), Some(other)) = (one, other)
        && one != other
    {
        return Check::bad(
            "env.profile",
            format!(
                "AWS_PROFILE={one} and AWS_DEFAULT_PROFILE={other}: SDKs differ in which they take"
            ),
        )
        .run("unset AWS_DEFAULT_PROFILE");
    }
    let names: Vec<&str> = scene.app.config.profile_names().collect();
    match one.or(other) {
        Some(name) if names.contains(&name) => {
            Check::ok("env.profile", format!("AWS_PROFILE={name}, a profile of rotakey"))
        }
        Some(name) => Check::warning(
            "env.profile",
            format!(
                "AWS_PROFILE={name} is no profile of rotakey: programs of this shell do not ask it"
            ),
        )
        .hint(match names.first() {
            Some(_) => format!("one of {}", names.join(", ")),
            None => "take a key over first".to_owned(),
        })
        .run(match names.first() {
            Some(first) => format!("export AWS_PROFILE={}", quoted(first)),
            None => format!("rotakey import --profile {}", quoted(name)),
        }),
        None if env.get(FULL).is_some() || env.get(IMDS).is_some() => {
            Check::ok("env.profile", "AWS_PROFILE is not set: an endpoint is")
        }
        None if is_proxied(env) => {
            Check::ok("env.profile", "AWS_PROFILE is not set: the placeholder is")
        }
        None if names.contains(&"default") => {
            Check::ok("env.profile", "AWS_PROFILE is not set: programs use default")
        }
        None => {
            let found =
                "AWS_PROFILE is not set: programs that name no profile use [default], not rotakey";
            let check = Check::ok("env.profile", found);
            match names.first() {
                Some(first) => check.hint(format!(
                    "name it: export AWS_PROFILE={}, or --profile, profile_name=",
                    quoted(first)
                )),
                None => check,
            }
        }
    }
}

fn files(env: &Env) -> Check {
    if let Some(path) = env.get("AWS_CREDENTIAL_FILE") {
        return Check::warning(
            "env.files",
            format!("AWS_CREDENTIAL_FILE={path}: old programs read a key there"),
        )
        .run("unset AWS_CREDENTIAL_FILE");
    }
    let places = places(env);
    let paths = [places.credentials, places.config];
    let names = ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"];
    let mut elsewhere = Vec::new();
    for (name, path) in names.into_iter().zip(paths) {
        let Some(value) = env.get(name) else { continue };
        let is_there = disk::access(&path).ok().flatten().is_some();
        if !is_there {
            return Check::bad("env.files", format!("{name}={value}: no such file"))
                .hint("SDKs then see no profile at all")
                .run(format!("unset {name}"));
        }
        if value.starts_with('~') {
            return Check::warning("env.files", format!("{name}={value}: only some SDKs know ~"))
                .run(format!("export {name}={}", quoted(&path.display().to_string())));
        }
        elsewhere.push(format!("{name}={value}"));
    }
    match elsewhere.is_empty() {
        true => Check::ok("env.files", "the shared files are in ~/.aws"),
        false => Check::ok("env.files", elsewhere.join(", ")),
    }
}

fn vault(env: &Env) -> Option<Check> {
    let name = env.get("AWS_VAULT")?;
    let found = format!("AWS_VAULT={name}: this is a shell of aws-vault's, with its keys");
    Some(Check::warning("env.keys", found).hint("leave that shell").run("unset AWS_VAULT"))
}

fn container(scene: &Scene<'_>, env: &Env) -> Option<Check> {
    let (full, relative) = (env.get(FULL), env.get(RELATIVE));
    let Some(uri) = full else {
        let path = relative?;
        let found = format!("{RELATIVE}={path} leads to Amazon ECS's agent, not to rotakey");
        return Some(Check::warning("env.container", found).run(unset(env, [RELATIVE])));
    };
    if relative.is_some() {
        let found =
            format!("{FULL} and {RELATIVE} are both set: Go takes the first, others the second");
        return Some(Check::bad("env.container", found).run(unset(env, [RELATIVE])));
    }
    if let Some(name) = scene.served_at(uri) {
        let is_on = scene
            .says()
            .is_some_and(|says| says["profiles"][name]["sources"]["container"]["on"] == true);
        if is_on {
            let found = format!("{FULL} leads to the agent, profile {name}");
            return Some(Check::ok("env.container", found));
        }
        let found = format!("{FULL} leads to the agent's place, and no agent serves {name} there");
        let check = Check::bad("env.container", found).run("rotakey agent");
        return Some(check.unreachable());
    }
    let found = match scene.listen {
        Some(at) => format!("{FULL}={uri}: the agent is at http://{at}/credentials/PROFILE"),
        None => format!("{FULL}={uri} is not the agent's"),
    };
    let check = Check::bad("env.container", found).hint("take it anew, in this shell");
    Some(check.run("eval \"$(rotakey env --source container)\""))
}

fn token(scene: &Scene<'_>, env: &Env) -> Option<Check> {
    let profile = scene.served_at(env.get(FULL)?)?;
    let anew = format!("eval \"$(rotakey env {} --source container)\"", quoted(profile));
    let (given, file) = (env.get(TOKEN), env.get(TOKEN_FILE));
    let bad = |found: String| Some(Check::bad("env.token", found).run(anew.clone()));
    let Some(right) = token::load(&scene.app.paths.state, profile).ok()? else {
        return bad(format!("{profile} has no token yet: nobody is let in"));
    };
    if given.is_none() && file.is_none() {
        return bad(format!("neither {TOKEN} nor {TOKEN_FILE} is set: the agent refuses"));
    }
    if given.is_some_and(|given| given != right.expose()) {
        return bad(format!("{TOKEN} is not {profile}'s: it was revoked, or is another's"));
    }
    if let Some(path) = file {
        let bytes = shared_files::read(path.as_ref()).ok().flatten();
        let text = bytes.as_ref().map(|bytes| bytes.strip_suffix(b"\n").unwrap_or(bytes));
        match text {
            None => return bad(format!("{TOKEN_FILE}={path} cannot be read")),
            Some(text) if text != right.expose().as_bytes() => {
                return bad(format!("{TOKEN_FILE}={path} holds a token that is not {profile}'s"));
            }
            _ if bytes.as_ref().is_some_and(|bytes| bytes.ends_with(b"\n")) => {
                return bad(format!(
                    "{TOKEN_FILE}={path} ends in a newline: botocore, Go, Rust refuse it"
                ));
            }
            _ => {}
        }
    }
    match (given, file) {
        (Some(_), Some(_)) => Some(Check::ok("env.token", "it is there, in both forms")),
        (None, _) => Some(
            Check::warning("env.token", format!("{TOKEN} is not set: some programs know only that"))
                .run(anew),
        ),
        (_, None) => Some(
            Check::warning(
                "env.token",
                format!("{TOKEN_FILE} is not set: object_store knows only that, and it follows a `revoke`"),
            )
            .run(anew),
        ),
    }
}

fn imds(scene: &Scene<'_>, env: &Env) -> Option<Check> {
    let endpoint = env.get(IMDS)?;
    let bare = endpoint.trim_end_matches('/');
    let off = env.get(IMDS_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if off {
        let found = format!("{IMDS} is set, and {IMDS_OFF}=true: nobody asks it");
        return Some(Check::bad("env.imds", found).run(unset(env, [IMDS_OFF])));
    }
    if bare == EC2 {
        return Some(Check::ok("env.imds", format!("{IMDS} is EC2's own")));
    }
    if !scene.is_our_imds(endpoint) {
        let why = match bare.splitn(4, '/').nth(3) {
            Some(path) => format!("the SDK for JavaScript drops /{path}"),
            None => "the agent is not there".to_owned(),
        };
        let found = format!("{IMDS}={endpoint}: {why}");
        let check = Check::bad("env.imds", found);
        return Some(match scene.listen {
            Some(at) => check.run(format!("export {IMDS}=http://{at}/")),
            None => check.run(unset(env, [IMDS])),
        });
    }
    let names = scene.app.config.profile_names();
    let serves = names
        .into_iter()
        .any(|name| scene.app.config.settings(name, env).is_ok_and(|settings| settings.imds));
    if !serves {
        let found = format!("{IMDS} leads to the agent, and no profile has imds = true");
        return Some(Check::bad("env.imds", found).hint("set it in one profile of config.toml"));
    }
    if !endpoint.ends_with('/') {
        let found =
            format!("{IMDS}={endpoint}: the AWS CLI 2.9 of Debian wants a slash at the end");
        return Some(Check::warning("env.imds", found).run(format!("export {IMDS}={endpoint}/")));
    }
    Some(Check::ok("env.imds", format!("{IMDS} leads to the agent")))
}

fn proxy(scene: &Scene<'_>, env: &Env) -> Check {
    let names = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let Some(name) = names.into_iter().find(|name| env.get(name).is_some()) else {
        return Check::ok("env.proxy", "no proxy is set for http");
    };
    let spared = env.get("no_proxy").or(env.get("NO_PROXY")).unwrap_or_default();
    let hosts: Vec<&str> = spared.split(',').map(str::trim).collect();
    if hosts.contains(&"*") || (hosts.contains(&"127.0.0.1") && hosts.contains(&"localhost")) {
        return Check::ok("env.proxy", format!("{name} is set, and spares this machine"));
    }
    let found = format!("{name} is set, and NO_PROXY does not name 127.0.0.1 and localhost");
    let mut hosts: Vec<&str> = hosts.into_iter().filter(|host| !host.is_empty()).collect();
    for host in ["127.0.0.1", "localhost"] {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let all = quoted(&hosts.join(","));
    let is_used = env.get(IMDS).is_some_and(|endpoint| scene.is_our_imds(endpoint));
    let check = if is_used { Check::bad } else { Check::warning };
    check("env.proxy", found)
        .hint("botocore asks IMDS through that proxy, which then sees the secret")
        .run(format!("export NO_PROXY={all} no_proxy={all}"))
}

fn endpoints(scene: &Scene<'_>, env: &Env, profiles: &[String]) -> Option<Check> {
    let name = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
    if !env.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let variable = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_IAM"];
    let variable = variable.into_iter().find(|name| env.get(name).is_some());
    let line = profiles.iter().find_map(|profile| scene.files.config.get(profile, "endpoint_url"));
    let what = match (variable, line) {
        (Some(variable), _) => format!("${variable}"),
        (None, Some((_, at))) => format!("endpoint_url at {at}"),
        (None, None) => {
            return Some(Check::ok("env.endpoints", format!("{name}=true, and none is set")));
        }
    };
    let found = format!("{name}=true: programs pass over {what} and go to AWS itself");
    Some(Check::warning("env.endpoints", found).run(unset(env, [name])))
}
