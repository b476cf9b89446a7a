//! `add`: a person hands a key over.

use std::io::Read;

use rotakey_core::credential::{AccessKeyId, Credentials, Generation, SecretAccessKey};
use rotakey_core::iam::Outcome;
use rotakey_core::journal::{Entry, Origin, Record};
use rotakey_core::lease::Ledger;
use rotakey_core::rotation;

use super::{App, expect};
use crate::cli::args::AddArgs;
use crate::cli::failure::{Exit, Failed};
use crate::clock::Clock;
use crate::config::{self, edit};
use crate::control::Agent;
use crate::iam::KeyService;
use crate::store::keystore;
use crate::store::profile::ProfileState;

/// Runs it.
pub async fn run(app: &App, args: &AddArgs) -> Result<(), Failed> {
    let name = &app.profile;
    config::check_profile_name(name)?;
    if app.config.contains(name) {
        return Err(Failed::new(Exit::Usage, format!("there is a profile {name} already"))
            .hint(format!("choose another name, or `rotakey remove {name}` first")));
    }
    let mut settings = app.config.settings(name, &app.env)?;
    if let Some(region) = &args.region {
        settings.region.clone_from(region);
    }
    if let Some(url) = &args.endpoint_url {
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Failed::new(Exit::Usage, format!("--endpoint-url {url:?} is not a URL"))
                .hint("it begins with http:// or https://"));
        }
        settings.endpoints.iam = Some(url.clone());
        settings.endpoints.sts = Some(url.clone());
    }
    let credentials = ask(args)?;
    let id = &credentials.access_key_id;

    let service = app.service(&settings);
    let identity = service.caller_identity(&credentials, &settings.region).await;
    let identity = expect("sts:GetCallerIdentity", identity)?;
    let Some(user) = identity.user_name().map(str::to_owned) else {
        let message = format!("{id} is not an IAM user's key: it belongs to {}", identity.arn);
        return Err(Failed::new(Exit::Usage, message)
            .hint("rotakey rotates keys of IAM users; root keys should be deleted, not rotated"));
    };
    if args.user.as_ref().is_some_and(|wanted| *wanted != user) {
        let wanted = args.user.as_deref().unwrap_or_default();
        let message = format!("{id} belongs to the user {user}, not to {wanted}");
        return Err(
            Failed::new(Exit::Usage, message).hint("leave --user out, or give that user's key")
        );
    }
    if let Some(other) = holder(app, id)? {
        edit::add_profile(&app.paths.config, name, &[("source_profile", &other)])?;
        Agent::at(app.paths.socket()).reload();
        app.printer.say(&format!("{name} uses the key of {other}, {id}"));
        return Ok(());
    }
    // Listing may not be allowed yet: `rotate --dry-run` says so. The key's age is then unknown.
    let created = match service.list_access_keys(&credentials, &user).await {
        Outcome::Done(list) => list.find(id).map(|key| key.created),
        _ => None,
    };

    let tag = app.install_tag()?;
    refuse_second_install(&service, &credentials, &user, &tag).await?;

    let keystore = app.keystore()?;
    keystore::probe(keystore.as_ref(), name)?;
    keystore.put(id, &credentials.secret_access_key)?;

    let state = ProfileState::new(&app.paths.state, name);
    let (_engine, mut journal) = state.lock()?;
    match &journal.status().current {
        // An `add` that was cut short: it goes on.
        Some(current) if current.id == *id => {}
        Some(current) => {
            let message = format!("the state of {name} holds another key, {}", current.id);
            let dir = state.dir().display();
            return Err(Failed::new(Exit::Usage, message)
                .hint(format!("choose another name, or move {dir} away")));
        }
        None => {
            let record = Record::Enrolled {
                access_key_id: id.clone(),
                account_id: identity.account_id.clone(),
                arn: identity.arn.clone(),
                user: user.clone(),
                created,
                origin: Origin::HandedOver,
            };
            journal.append(&Entry { time: app.clock.now().wall, rotation: None, record })?;
        }
    }
    let now = app.clock.now().wall;
    state.update_ledger(|slot| {
        slot.get_or_insert_with(|| Ledger::new(id.clone(), Generation(1), now));
    })?;
    let mut values = Vec::new();
    let region = args.region.as_ref().or(app.env.get("AWS_REGION").map(|_| &settings.region));
    values.extend(region.map(|region| ("region", region.as_str())));
    values.push(("user", &user));
    values.extend(args.endpoint_url.as_ref().map(|url| ("endpoint_url", url.as_str())));
    edit::add_profile(&app.paths.config, name, &values)?;
    app.audited("add", Some(id), &format!("of {}, into {}", identity.arn, keystore.describe()));
    Agent::at(app.paths.socket()).reload();
    // Now any other installation can see that this user's keys are ours to rotate. It may be denied:
    // `rotate --dry-run` says so.
    let _ = service.tag_user(&credentials, &user, &tag, rotation::INSTALL_TAG_VALUE).await;
    app.printer.say(&format!("{name}: {id} of {} is in {}", identity.arn, keystore.describe()));
    app.printer.say(&format!(
        "Programs get it by this line in ~/.aws/config, under [profile {name}]:\n  credential_process = {} credential-process --profile {name}\nThen `rotakey rotate {name}` replaces it.",
        std::env::current_exe().map_or_else(|_| "rotakey".to_owned(), |p| p.display().to_string())
    ));
    Ok(())
}

/// Two installations on one user would take each other's keys away.
async fn refuse_second_install(
    service: &impl KeyService,
    credentials: &Credentials,
    user: &str,
    ours: &str,
) -> Result<(), Failed> {
    let Outcome::Done(tags) = service.user_tags(credentials, user).await else { return Ok(()) };
    let Some(other) = rotation::preflight::other_install(&tags, ours) else { return Ok(()) };
    let message = format!("another installation rotates the user {user}: tag {other}");
    Err(Failed::new(Exit::Decide, message).hint(format!(
        "add the key there; or, if that installation is gone: aws iam untag-user --user-name {user} --tag-keys {other}"
    )))
}

/// The profile that manages this key already.
fn holder(app: &App, id: &AccessKeyId) -> Result<Option<String>, Failed> {
    for name in app.managed()? {
        let (_, status) = ProfileState::new(&app.paths.state, &name).read()?;
        let mut ours = status
            .current
            .iter()
            .map(|key| &key.id)
            .chain(status.rotation.iter().flat_map(|open| open.ours()));
        if ours.any(|key| key == id) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn ask(args: &AddArgs) -> Result<Credentials, Failed> {
    let usage = |message: String, hint: &str| Failed::new(Exit::Usage, message).hint(hint);
    let id = match &args.access_key_id {
        Some(id) => id.clone(),
        None if args.secret_stdin => {
            return Err(usage("--secret-stdin needs --access-key-id".to_owned(), "give both"));
        }
        None => prompt("Access key id: ", false)?,
    };
    let access_key_id: AccessKeyId = id
        .trim()
        .parse()
        .map_err(|error| usage(format!("{error}"), "it looks like AKIAIOSFODNN7EXAMPLE"))?;
    let secret = if args.secret_stdin {
        let mut secret = String::new();
        std::io::stdin()
            .take(4096)
            .read_to_string(&mut secret)
            .map_err(|error| usage(format!("cannot read the secret: {error}"), "pipe it in"))?;
        secret
    } else {
        prompt("Secret access key: ", true)?
    };
    let secret = zeroize::Zeroizing::new(secret);
    let trimmed = secret.trim();
    if trimmed.is_empty() {
        return Err(usage(
            "the secret access key is empty".to_owned(),
            "give it on standard input",
        ));
    }
    let secret_access_key = SecretAccessKey::new(trimmed.to_owned());
    Ok(Credentials::long_term(access_key_id, secret_access_key))
}

fn prompt(question: &str, hidden: bool) -> Result<String, Failed> {
    let answer = if hidden {
        rpassword::prompt_password(question)
    } else {
        std::io::Write::write_all(&mut std::io::stderr(), question.as_bytes()).and_then(|()| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        })
    };
    answer.map_err(|error| {
        Failed::new(Exit::Usage, format!("cannot ask: {error}"))
            .hint("without a terminal, use --access-key-id ID --secret-stdin")
    })
}
