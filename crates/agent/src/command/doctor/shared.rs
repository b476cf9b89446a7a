//! The shared files, `~/.aws/credentials` and `~/.aws/config`: what stands in a profile beside rotakey's line.

use super::check::Check;
use super::environment::is_proxied;
use super::line::Line;
use super::scene::{Scene, quoted};
use crate::chains::{File, Place, Section};
use crate::command::env::credential_process;
use crate::store::disk;

/// The settings that make a key in plain text.
const KEY: [&str; 4] =
    ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token"];

/// What concerns both files, whatever profile is meant.
pub(super) fn of_both(scene: &Scene<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for (path, why) in &scene.unreadable {
        let found = format!("{} cannot be read: {why}", path.display());
        let hint = "put a file there, or nothing: SDKs fail, or wait, or see no profile";
        checks.push(Check::bad("files.form", found).hint(hint));
    }
    checks.push(match scene.files.stumbling_block() {
        None => Check::ok("files.form", "every SDK can read them"),
        Some((why, at)) => {
            let found = format!("{at}: {why}: boto3 and the AWS CLI refuse the whole file");
            let check = Check::bad("files.form", found);
            match &at {
                Place::Line(path, line) if why.contains("setting") => {
                    // It stays, as a comment: who knows what it is.
                    check.run(format!("sed -i --follow-symlinks '{line}s/^/# /' {}", word(path)))
                }
                _ => check.hint("make one section of the two"),
            }
        }
    });
    checks.extend([&scene.files.credentials, &scene.files.config].into_iter().filter_map(modes));
    checks
}

fn word(path: &std::path::Path) -> String {
    quoted(&path.display().to_string())
}

fn modes(file: &File) -> Option<Check> {
    let access = disk::access(&file.path).ok()??;
    let path = file.path.display();
    let us = rustix::process::geteuid().as_raw();
    // A device, such as /dev/null: root's, and nobody keeps a secret there.
    if access.uid != us && access.uid != 0 {
        let found = format!(
            "{path} belongs to user id {}: who may decide what your programs run",
            access.uid
        );
        return Some(
            Check::bad("files.modes", found)
                .run(format!("sudo chown \"$USER\" {}", word(&file.path))),
        );
    }
    let settings = || file.sections.iter().flat_map(|section| &section.settings);
    let has_secret = settings().any(|setting| KEY[1..].contains(&setting.key.as_str()));
    let (mode, chmod) = (access.mode, format!("chmod 600 {}", word(&file.path)));
    let is_file = !file.path.starts_with("/dev");
    if is_file && mode & 0o022 != 0 {
        let found = format!(
            "{path} can be written by others (mode {mode:04o}): they decide what your programs run"
        );
        return Some(Check::bad("files.modes", found).run(chmod));
    }
    if is_file && has_secret && mode & 0o044 != 0 {
        let found = format!("{path} holds a secret, and can be read by others (mode {mode:04o})");
        return Some(Check::bad("files.modes", found).run(chmod));
    }
    Some(Check::ok("files.modes", format!("{path} is yours alone to write")))
}

/// What concerns one profile.
pub(super) fn of_profile(scene: &Scene<'_>, profile: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    let both = [&scene.files.credentials, &scene.files.config];
    for file in both {
        for section in &file.sections {
            checks.extend(key_in(scene, profile, file, section));
        }
    }
    if !checks.iter().any(|check| check.id == "files.keys") {
        checks.push(Check::ok("files.keys", "no key stands in the profile"));
    }
    checks.push(line(scene, profile));
    checks
}

/// A key in a section: of the profile itself, or a copy in another one.
fn key_in(scene: &Scene<'_>, profile: &str, file: &File, section: &Section) -> Option<Check> {
    let id = section.settings.iter().find(|setting| setting.key == KEY[0])?;
    let at = file.at(id.line);
    let holder = scene.holder_of(&id.value);
    let is_own = section.profile.as_deref() == Some(profile);
    let ours = scene.app.config.key_profile(profile).ok();
    let header = &section.header;
    let (name, found) = match (is_own, holder) {
        (true, Some(_)) => {
            let found = format!(
                "{at}: the key {} stands in [{header}]: most SDKs take it and pass rotakey over",
                id.value
            );
            ("files.keys", found)
        }
        (true, None) => {
            let found = format!(
                "{at}: [{header}] has a key of its own, {}, which is not rotakey's",
                id.value
            );
            ("files.keys", found)
        }
        (false, Some(holder)) if Some(holder) == ours => {
            let found = format!(
                "{at}: [{header}] has a copy of the key {}, which a rotation will not replace",
                id.value
            );
            ("files.copies", found)
        }
        (false, _) => return None,
    };
    let check = Check::bad(name, found);
    // Lines are taken out by `import` alone, which looks that the keystore has the secret. A key that is not rotakey's
    // may be the only copy there is: no command touches it.
    Some(match (holder, &section.profile) {
        (Some(_), Some(named)) => check
            .hint("the keystore has it; this takes it out of the file")
            .run(format!("rotakey import --profile {}", quoted(named))),
        (Some(_), None) => check.hint("no SDK reads that section as a profile; take the lines out"),
        (None, _) => check.hint(
            "rotakey has no copy of it: if it is needed, keep it elsewhere; then take the lines out",
        ),
    })
}

/// The line by which SDKs find rotakey.
fn line(scene: &Scene<'_>, profile: &str) -> Check {
    let config = &scene.files.config;
    let given = scene.files.credentials.get(profile, "credential_process");
    let given = given.or_else(|| config.get(profile, "credential_process"));
    let right = match credential_process(profile) {
        Ok(right) => right,
        Err(failed) => {
            return Check::bad("files.line", failed.message).hint(failed.hint.unwrap_or_default());
        }
    };
    let Some((line, at)) = given else {
        let env = &scene.app.env;
        let uri =
            env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI").and_then(|uri| scene.served_at(uri));
        if uri == Some(profile) {
            return Check::ok(
                "files.line",
                "no credential_process, and the container endpoint instead",
            );
        }
        if is_proxied(env) {
            return Check::ok("files.line", "no credential_process, and the proxy instead");
        }
        let check = Check::warning(
            "files.line",
            format!(
                "no credential_process in {}: programs find rotakey only by `rotakey exec` or `env`",
                config.path.display()
            ),
        );
        return check.hint("have all find it").run(insertion(config, profile, &right));
    };
    let edit = |script: String| match &at {
        Place::Line(path, _) => {
            format!("sed -i --follow-symlinks {script} {}", word(path))
        }
        Place::Variable(_) => String::new(),
    };
    let number = match &at {
        Place::Line(_, number) => *number,
        Place::Variable(_) => 0,
    };
    let text = right.replace('\\', "\\\\");
    let mended = edit(quoted(&format!("{number}c {text}")));
    match Line::read(scene, line) {
        Line::Ours(name) if name == profile => match Line::runs_this(scene, line) {
            true => Check::ok("files.line", format!("credential_process at {at}")),
            false => Check::warning(
                "files.line",
                format!("{at} runs another rotakey than this one ({})", scene.own.display()),
            )
            .run(mended),
        },
        Line::Ours(name) => {
            let found = format!("{at} asks for the profile {name}");
            let is_alike =
                scene.app.config.key_profile(&name) == scene.app.config.key_profile(profile);
            let check = if is_alike { Check::warning } else { Check::bad };
            check("files.line", found).run(mended)
        }
        Line::Other(program) => {
            // Somebody else's line stays, as a comment.
            let put = quoted(&format!("{number}a {text}"));
            let command = edit(format!("-e '{number}s/^/# /' -e {put}"));
            Check::bad("files.line", format!("{at} runs {program}, not rotakey")).run(command)
        }
        Line::Wrong(why) => Check::bad("files.line", format!("{at}: {why}")).run(mended),
    }
}

/// The command that puts the line in.
fn insertion(config: &File, profile: &str, line: &str) -> String {
    let path = word(&config.path);
    if let Some(section) = config.profile(profile) {
        let put = quoted(&format!("{}a {line}", section.line));
        return format!("sed -i --follow-symlinks {put} {path}");
    }
    let header = match profile {
        "default" => "[default]".to_owned(),
        name => format!("[profile {name}]"),
    };
    let folder = config.path.parent().map(word).unwrap_or_default();
    format!("mkdir -p {folder} && printf '\\n%s\\n' {} {} >> {path}", quoted(&header), quoted(line))
}
