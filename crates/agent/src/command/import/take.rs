//! Taking keys over, and changing the files once they are safe.

use rotakey_core::credential::Credentials;

use super::{App, Files, Group, enrol};
use crate::command::env;
use crate::config::{ProfileSettings, edit};
use crate::failure::{Exit, Failed};
use crate::shared_files::{Changes, Document, Holding, Kind, Places, Shared, Wanted};
use crate::store::foreign::{Foreign, NotReplaced};

/// Somebody else's change is seen, and made part of ours. More often than this it does not happen by accident.
const ATTEMPTS: u32 = 5;

/// What is to become of these profiles in the files.
pub(super) fn wanted<'a>(
    holdings: impl Iterator<Item = &'a Holding>,
    keep_plaintext: bool,
) -> Result<Vec<Wanted>, Failed> {
    let one = |holding: &Holding| {
        let line = env::credential_process(&holding.profile)?;
        Ok(Wanted {
            profile: holding.profile.clone(),
            id: holding.id.clone(),
            secret: holding.secret.clone(),
            line: (!holding.has_line).then_some(line),
            take: !keep_plaintext,
        })
    };
    holdings.map(one).collect()
}

/// Takes the keys over, each with all of its profiles. A key that AWS does not accept is not taken, and does not keep
/// others from being taken; the first such failure comes back.
pub(super) async fn enrol(
    app: &App,
    groups: Vec<Group>,
) -> Result<(Vec<Group>, Option<Failed>), Failed> {
    let keystore = app.keystore()?;
    let mut holders = enrol::holders(app)?;
    let (mut taken, mut failed) = (Vec::new(), None);
    let count = groups.len();
    for (number, group) in groups.into_iter().enumerate() {
        let id = group.first().id.clone();
        app.printer.progress(&format!("{} of {count}: {id}", number + 1));
        let one = take(app, &group, keystore.as_ref(), holders.get(&id)).await;
        app.printer.progress_done();
        match one {
            Ok(holder) => {
                holders.insert(id, holder);
                taken.push(group);
            }
            // The keystore is the same for all of them.
            Err(error) if error.exit == Exit::Unreachable => return Err(error),
            Err(mut error) => {
                error.message =
                    format!("{} is not taken: {}", group.first().profile, error.message);
                app.printer.error(&error);
                failed.get_or_insert(error);
            }
        }
    }
    let failed = failed.map(|first| {
        let taken = if taken.is_empty() { "nothing" } else { "the rest" };
        Failed::new(first.exit, format!("{taken} was taken; see above for what was not"))
    });
    Ok((taken, failed))
}

/// One key, from AWS's yes to config.toml. Says which profile manages it.
async fn take(
    app: &App,
    group: &Group,
    keystore: &dyn crate::store::keystore::Keystore,
    holder: Option<&String>,
) -> Result<String, Failed> {
    let first = match holder {
        // It may be one of them: then that one is there already.
        Some(holder) => group.members.iter().find(|member| member.profile == *holder),
        None => None,
    };
    let first = first.unwrap_or(group.first());
    let name = holder.unwrap_or(&first.profile);
    for member in &group.members {
        if uses_another(app, member, name, holder.is_some())? {
            let message = format!("rotakey has a profile {} with another key", member.profile);
            return Err(Failed::new(Exit::Usage, message)
                .hint(format!("`rotakey status {}` shows it", member.profile)));
        }
    }
    let settings = settings(app, first)?;
    let credentials = Credentials::long_term(first.id.clone(), first.secret.clone());
    let checked = enrol::check(app, &settings, credentials).await?;
    let managing = app.for_profile(name);
    if holder.is_none() {
        let tag = app.install_tag()?;
        checked.refuse_second_install(&tag).await?;
        let created = checked.created().await;
        checked.keep(&managing, keystore, created)?;
        add(app, first, &[("user", checked.user.as_str())], true)?;
        checked.tag(&tag).await;
    } else if keystore.get(&first.id)?.as_ref() != Some(&first.secret) {
        let message =
            format!("{} holds no or another secret for {}", keystore.describe(), first.id);
        return Err(Failed::new(Exit::Decide, message)
            .hint(format!("`rotakey doctor {name}`; nothing was changed")));
    }
    for member in group.members.iter().filter(|member| member.profile != *name) {
        add(app, member, &[("source_profile", name)], false)?;
    }
    audit(app, group)?;
    Ok(name.clone())
}

/// Whether config.toml has the profile for another key than the one that `name` manages, or is about to. A table that
/// somebody wrote by hand beforehand is no reason.
fn uses_another(app: &App, member: &Holding, name: &str, is_managed: bool) -> Result<bool, Failed> {
    let profile = &member.profile;
    if !app.config.contains(profile) {
        return Ok(false);
    }
    let has_key = || Ok::<_, Failed>(app.for_profile(profile).state()?.read()?.1.current.is_some());
    Ok(app.config.key_profile(profile)? != name || (!is_managed && has_key()?))
}

fn add(app: &App, holding: &Holding, more: &[(&str, &str)], with_urls: bool) -> Result<(), Failed> {
    if app.config.contains(&holding.profile) {
        return Ok(());
    }
    let mut values = Vec::new();
    values.extend(holding.region.as_deref().map(|region| ("region", region)));
    values.extend_from_slice(more);
    match (&holding.iam_url, &holding.sts_url) {
        _ if !with_urls => {}
        (Some(iam), Some(sts)) if iam == sts => values.push(("endpoint_url", iam)),
        (iam, sts) => {
            values.extend(iam.as_deref().map(|url| ("endpoint_url_iam", url)));
            values.extend(sts.as_deref().map(|url| ("endpoint_url_sts", url)));
        }
    }
    Ok(edit::add_profile(&app.paths.config, &holding.profile, &values)?)
}

/// As they will be once it is in config.toml.
fn settings(app: &App, holding: &Holding) -> Result<ProfileSettings, Failed> {
    let mut settings = app.config.settings(&holding.profile, &app.env)?;
    if let Some(region) = &holding.region {
        settings.region.clone_from(region);
    }
    let urls = [
        (&mut settings.endpoints.iam, &holding.iam_url),
        (&mut settings.endpoints.sts, &holding.sts_url),
    ];
    for (setting, url) in urls {
        if url.is_some() {
            setting.clone_from(url);
        }
    }
    Ok(settings)
}

fn audit(app: &App, group: &Group) -> Result<(), Failed> {
    let id = &group.first().id;
    for member in &group.members {
        let from: Vec<_> =
            member.places.iter().map(|(kind, line)| format!("{kind:?} line {line}")).collect();
        app.audit().record("import", &member.profile, Some(id), &from.join(", ")).map_err(
            |error| {
                Failed::new(Exit::Failed, format!("cannot write the audit trail: {error}"))
                    .hint("make the state folder writable for you; the files were not changed")
            },
        )?;
    }
    Ok(())
}

/// Changes both files: the lines come before the keys go.
pub(super) fn change_files(
    app: &App,
    places: &Places,
    taken: &[Group],
    keep_plaintext: bool,
) -> Result<(), Failed> {
    let members = taken.iter().flat_map(|group| &group.members);
    let wanted = wanted(members, keep_plaintext)?;
    for kind in [Kind::Config, Kind::Credentials] {
        let mut attempt = 1;
        loop {
            match change(places, kind, &wanted) {
                Err(NotReplaced::Changed(path)) if attempt < ATTEMPTS => {
                    app.printer.say(&format!("{} was just changed: once more", path.display()));
                    attempt += 1;
                }
                other => break other?,
            }
        }
    }
    Ok(())
}

fn change(places: &Places, kind: Kind, wanted: &[Wanted]) -> Result<(), NotReplaced> {
    let path = places.path(kind);
    let file = Foreign::read(path).map_err(|error| NotReplaced::Io(path.to_owned(), error))?;
    let document = Document::parse(&file.bytes);
    let changes: Changes = Wanted::changes(wanted, kind, &document);
    if changes.is_empty() {
        return Ok(());
    }
    let bytes = changes.apply(&document).map_err(|why| NotReplaced::Refused {
        path: path.to_owned(),
        why: why.to_string(),
        hint: "write each setting at the beginning of a line, then run the command again"
            .to_owned(),
    })?;
    file.replace(&zeroize::Zeroizing::new(bytes))
}

/// Says what was done, and what is left in plaintext all the same.
pub(super) fn say(app: &App, places: &Places, taken: &[Group], keep_plaintext: bool) {
    for group in taken {
        let names: Vec<_> = group.members.iter().map(|member| member.profile.as_str()).collect();
        app.printer.say(&format!("{}: {} is rotakey's now", names.join(", "), group.first().id));
    }
    if app.env.get("ROTAKEY_HOME").is_some() {
        app.printer.say("ROTAKEY_HOME is set here: programs need it in their environment as well.");
    }
    if keep_plaintext {
        app.printer.say(
            "The keys are still in the files, where SDKs find them first: they are not rotated unattended until they are gone. `rotakey import --all` takes them out.",
        );
        return;
    }
    let Ok(files) = Files::read(places.clone()) else { return };
    let shared: Shared<'_> = files.shared();
    for kind in [Kind::Credentials, Kind::Config] {
        let document = shared.document(kind);
        for number in 0..document.lines.len() {
            let line = document.line(number);
            let left = taken.iter().find(|group| {
                let secret = group.first().secret.expose().as_bytes();
                line.windows(secret.len()).any(|window| window == secret)
            });
            if let Some(group) = left {
                app.printer.say(&format!(
                    "warning: line {} of {} still has the secret of {}: remove it by hand",
                    number + 1,
                    places.path(kind).display(),
                    group.first().id
                ));
            }
        }
    }
    let rotate = match taken {
        [only] => format!("rotakey rotate {}", only.first().profile),
        _ => "rotakey rotate --all".to_owned(),
    };
    app.printer.say(&format!("`{rotate}` makes every copy of what was in the files worthless."));
}
