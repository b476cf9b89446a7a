//! Where no user manager runs, and where somebody changed a unit.

use std::path::Path;

use super::support::{Run, World};

fn service(world: &World, home: &Path, args: &[&str]) -> Run {
    let mut command = world.command();
    command.env("HOME", home).arg("service").args(args);
    Run::from(command.output().unwrap())
}

/// All files below a folder, with their text.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            all.extend(files(&path));
        } else {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            all.push((path.to_str().unwrap().to_owned(), text));
        }
    }
    all.sort();
    all
}

#[test]
fn without_a_manager_the_units_are_written_and_it_says_what_to_do() {
    let world = World::added();
    let home = tempfile::tempdir().unwrap();
    let units = home.path().join(".config/systemd/user");
    std::fs::create_dir_all(units.join("default.target.wants")).unwrap();
    std::fs::create_dir_all(units.join("rotakey.service.d")).unwrap();
    std::fs::write(units.join("other.service"), "[Service]\nExecStart=/bin/true\n").unwrap();
    std::fs::write(units.join("rotakey.service.d/own.conf"), "[Service]\nNice=5\n").unwrap();
    let before = files(home.path());
    for wrote in [2, 0] {
        let run = service(&world, home.path(), &["install"]);
        assert_eq!((run.code, run.stderr.matches("wrote ").count()), (5, wrote), "{run:?}");
        assert!(
            run.stderr.contains("systemctl --user enable --now rotakey.socket rotakey.service"),
            "{run:?}"
        );
        assert!(run.stderr.contains("enable-linger"), "{run:?}");
    }
    let written: Vec<_> = files(home.path())
        .into_iter()
        .filter(|file| !before.contains(file))
        .map(|file| file.0)
        .collect();
    let at = |name: &str| units.join(name).to_str().unwrap().to_owned();
    assert_eq!(written, [at("rotakey.service"), at("rotakey.socket")]);
    let run = service(&world, home.path(), &["status"]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(
        run.stdout.contains(": installed\n") && run.stdout.contains("no service manager"),
        "{run:?}"
    );

    // As `systemctl enable` did when there was a manager.
    std::os::unix::fs::symlink(
        at("rotakey.service"),
        units.join("default.target.wants/rotakey.service"),
    )
    .unwrap();
    let run = service(&world, home.path(), &["uninstall"]);
    assert_eq!((run.code, run.stderr.matches("removed ").count()), (0, 2), "{run:?}");
    assert_eq!(files(home.path()), before);
    let run = service(&world, home.path(), &["uninstall"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains("nothing was installed"), "{run:?}");
}

#[test]
fn what_somebody_changed_is_neither_overwritten_nor_removed() {
    let world = World::added();
    let home = tempfile::tempdir().unwrap();
    service(&world, home.path(), &["install"]);
    let unit = home.path().join(".config/systemd/user/rotakey.service");
    let ours = std::fs::read_to_string(&unit).unwrap();
    // With other settings, what is still as we left it is replaced.
    world.configure_agent("[agent]\nlisten = \"127.0.0.1:21998\"\n", "");
    assert!(service(&world, home.path(), &["status"]).stdout.contains("with other settings"));
    let run = service(&world, home.path(), &["install"]);
    assert_eq!(run.stderr.matches("wrote ").count(), 1, "{run:?}");

    let theirs = ours.replace("WatchdogSec=60", "WatchdogSec=5");
    std::fs::write(&unit, &theirs).unwrap();
    world.configure_agent("[agent]\nlisten = \"127.0.0.1:21997\"\n", "");
    let socket = std::fs::read(unit.with_file_name("rotakey.socket")).unwrap();
    for verb in ["install", "uninstall"] {
        let run = service(&world, home.path(), &[verb]);
        assert_eq!(run.code, 3, "{run:?}");
        assert!(
            run.stderr.contains("rotakey.service was changed") && run.stderr.contains("--force"),
            "{run:?}"
        );
        assert_eq!(std::fs::read_to_string(&unit).unwrap(), theirs);
        assert_eq!(
            std::fs::read(unit.with_file_name("rotakey.socket")).unwrap(),
            socket,
            "all or nothing"
        );
    }
    let run = service(&world, home.path(), &["status", "--json"]);
    assert!(run.stdout.contains("changed by somebody"), "{run:?}");
    service(&world, home.path(), &["install", "--force"]);
    assert_eq!(std::fs::read_to_string(&unit).unwrap(), ours);
    std::fs::write(&unit, "[Service]\nExecStart=/bin/true\n").unwrap();
    assert_eq!(service(&world, home.path(), &["uninstall", "--force"]).code, 0);
    assert!(!unit.exists());
}
