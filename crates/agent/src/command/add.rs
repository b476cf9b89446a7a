//! `add`: a person hands a key over.

use std::io::{IsTerminal, Read};

use rotakey_core::credential::{AccessKeyId, Credentials, SecretAccessKey};

use super::{enrol, env};
use crate::app::{App, no_key_hint};
use crate::cli::args::AddArgs;
use crate::config::{self, edit};
use crate::control::Agent;
use crate::failure::{Exit, Failed};
use crate::shared_files::plaintext_copies;

/// Runs it.
pub async fn run(app: &App, args: &AddArgs) -> Result<(), Failed> {
    let name = &app.profile;
    config::check_profile_name(name)?;
    is_new(app)?;
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
    let credentials = ask(app, args)?;
    let checked = enrol::check(app, &settings, credentials).await?;
    let (id, user) = (&checked.credentials.access_key_id, &checked.user);
    if args.user.as_ref().is_some_and(|wanted| wanted != user) {
        let wanted = args.user.as_deref().unwrap_or_default();
        let message = format!("{id} belongs to the user {user}, not to {wanted}");
        return Err(
            Failed::new(Exit::Usage, message).hint("leave --user out, or give that user's key")
        );
    }
    let mut values = Vec::new();
    let region = args.region.as_ref().or(app.env.get("AWS_REGION").map(|_| &settings.region));
    values.extend(region.map(|region| ("region", region.as_str())));
    let (app, _lock) = &enrol::alone(app)?;
    is_new(app)?;
    let holders = enrol::holders(app)?;
    if let Some(other) = holders.get(id) {
        values.push(("source_profile", other));
        edit::add_profile(&app.paths.config, name, &values)?;
        Agent::at(app.paths.socket()).reload(&app.paths.config);
        app.printer.say(&format!("{name} uses the key of {other}, {id}"));
        return say_how(app, id);
    }
    let tag = app.install_tag()?;
    checked.refuse_second_install(&tag).await?;
    let created = checked.created().await;
    let keystore = app.keystore()?;
    checked.keep(app, keystore.as_ref(), created)?;
    values.push(("user", user));
    values.extend(args.endpoint_url.as_ref().map(|url| ("endpoint_url", url.as_str())));
    edit::add_profile(&app.paths.config, name, &values)?;
    app.audited(
        "add",
        Some(id),
        &format!("of {}, into {}", checked.identity.arn, keystore.describe()),
    );
    Agent::at(app.paths.socket()).reload(&app.paths.config);
    checked.tag(&tag).await;
    let arn = &checked.identity.arn;
    app.printer.say(&format!("{name}: {id} of {arn} is in {}", keystore.describe()));
    say_how(app, id)
}

fn is_new(app: &App) -> Result<(), Failed> {
    let name = &app.profile;
    if !app.config.contains(name) {
        return Ok(());
    }
    let has_key = app.state()?.read().is_ok_and(|(_, status)| status.current.is_some());
    let hint = match has_key || app.key_profile()? != name {
        true => format!("choose another name, or `rotakey remove {name}` first"),
        false => no_key_hint(name),
    };
    Err(Failed::new(Exit::Usage, format!("there is a profile {name} already")).hint(hint))
}

/// How programs come to use it, and what would keep them from it.
fn say_how(app: &App, id: &AccessKeyId) -> Result<(), Failed> {
    let name = &app.profile;
    let copies = plaintext_copies(&app.env, &[id]);
    if let Some(copy) = copies.first() {
        app.printer.say(&format!(
            "{} holds it in plaintext (line {}), and SDKs take it from there: `rotakey import --profile {}` takes it out",
            copy.path.display(),
            copy.line,
            copy.profile
        ));
    }
    if !copies.iter().any(|copy| copy.profile == *name) {
        let section = if name == "default" { name.clone() } else { format!("profile {name}") };
        let line = env::credential_process(name)?;
        app.printer.say(&format!(
            "Programs get it by this line in ~/.aws/config, under [{section}]:\n  {line}\nThen `rotakey rotate {name}` replaces it."
        ));
    }
    Ok(())
}

fn ask(app: &App, args: &AddArgs) -> Result<Credentials, Failed> {
    let usage = |message: String, hint: &str| Failed::new(Exit::Usage, message).hint(hint);
    let id = match &args.access_key_id {
        Some(id) => id.clone(),
        None if args.secret_stdin => {
            return Err(usage("--secret-stdin needs --access-key-id".to_owned(), "give both"));
        }
        None if !std::io::stdin().is_terminal() => {
            return Err(usage(
                "no access key id is given".to_owned(),
                "without a terminal, use --access-key-id ID --secret-stdin",
            ));
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
        // A keystore that is not there is told before a secret is looked up and pasted. Nobody is asked twice for a
        // passphrase for it.
        if app.config.store.passphrase_command.is_none() {
            app.keystore()?.get(&access_key_id)?;
        }
        prompt("Secret access key (not shown): ", true)?
    };
    let secret = zeroize::Zeroizing::new(secret);
    let trimmed = secret.trim();
    if trimmed.is_empty() {
        let hint = match args.secret_stdin {
            true => "give it on standard input",
            false => "paste it, then Enter: it is not shown",
        };
        return Err(usage("the secret access key is empty".to_owned(), hint));
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
