//! Changing `config.toml`: one profile's table is added or taken out, every other byte stays. Whoever changes it holds a
//! lock meanwhile, so that two commands do not take each other's change away.

use std::path::Path;
use std::time::Duration;

use super::{Config, ConfigError};
use crate::store::disk;
use crate::store::durable::{Disk, Lock};

/// Others hold the lock for as long as it takes to write the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// Appends `[profile.NAME]` with what is given, and nothing else.
pub fn add_profile(path: &Path, name: &str, values: &[(&str, &str)]) -> Result<(), ConfigError> {
    let _lock = lock(path)?;
    let mut text = read(path)?;
    if Config::parse(&text)?.contains(name) {
        return Err(ConfigError::new(
            format!("there is a profile {name} already: somebody else just added it"),
            "see `rotakey status`",
        ));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!("[profile.{}]\n", quoted_key(name)));
    for (key, value) in values {
        text.push_str(&format!("{key} = {}\n", toml::Value::String((*value).to_owned())));
    }
    write(path, &text)
}

/// Takes `[profile.NAME]`, and its sub-tables, out.
pub fn remove_profile(path: &Path, name: &str) -> Result<(), ConfigError> {
    let _lock = lock(path)?;
    let text = read(path)?;
    let mut kept = String::new();
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            inside = header_names(trimmed, name);
        }
        if !inside {
            kept.push_str(line);
        }
    }
    if Config::parse(&kept).is_ok_and(|config| !config.contains(name)) {
        return write(path, &kept);
    }
    Err(ConfigError::new(
        format!("cannot take profile {name} out of {}", path.display()),
        format!("remove [profile.{}] by hand", quoted_key(name)),
    ))
}

/// Whether a header line opens the profile's table or one below it.
fn header_names(header: &str, name: &str) -> bool {
    let Ok(table) = toml::from_str::<toml::Table>(header) else { return false };
    table.get("profile").and_then(|profiles| profiles.get(name)).is_some()
}

fn quoted_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.chars().all(bare) { name.to_owned() } else { format!("\"{name}\"") }
}

/// Held until it is dropped. The file itself is replaced, and so cannot be what is locked.
fn lock(path: &Path) -> Result<Lock, ConfigError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    disk::create_private_dir(dir).map_err(|error| unwritable(path, &error))?;
    let file = path.with_extension("lock");
    let lock = disk::System.lock(&file, PATIENCE).map_err(|error| unwritable(path, &error))?;
    lock.ok_or_else(|| {
        ConfigError::new(
            format!("another command is changing {}", path.display()),
            "run it again when that one has ended",
        )
    })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = disk::read(path).map_err(|error| unwritable(path, &error))?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| {
        ConfigError::new(format!("{} is not UTF-8", path.display()), "correct the file")
    })
}

fn write(path: &Path, text: &str) -> Result<(), ConfigError> {
    Config::parse(text)?;
    disk::replace(path, text.as_bytes()).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError::new(
        format!("cannot change {}: {error}", path.display()),
        "make the folder and the file writable for you, or set ROTAKEY_HOME",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_profiles_own_lines_come_and_go() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config.toml");
        let before = "# mine\n[store]\nkind = \"file\" # here\n\n[profile.b]\nregion = 'eu-west-1'";
        disk::replace(&path, before.as_bytes()).expect("written");
        add_profile(&path, "a.b", &[("region", "us-east-1"), ("user", "x\"y")]).expect("added");
        let text = read(&path).expect("there");
        assert!(text.starts_with(before) && text.contains("[profile.\"a.b\"]"), "{text}");
        let config = Config::load(&path).expect("valid");
        assert!(config.contains("a.b") && config.contains("b"));
        remove_profile(&path, "a.b").expect("removed");
        assert_eq!(read(&path).expect("there").trim_end(), before);
        remove_profile(&path, "b").expect("removed");
        assert!(read(&path).expect("there").contains("# here"));
    }

    #[test]
    fn changes_made_at_the_same_time_are_all_made() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config.toml");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    add_profile(path, &format!("p{n}"), &[("region", "eu-west-1")]).expect("added");
                    add_profile(path, &format!("q{n}"), &[]).expect("added");
                    remove_profile(path, &format!("q{n}")).expect("removed");
                });
            }
        });
        let config = Config::load(&path).expect("valid");
        assert_eq!(config.profile_names().count(), 8, "{:?}", read(&path));
        add_profile(&path, "p1", &[]).expect_err("it is there already");
    }
}
