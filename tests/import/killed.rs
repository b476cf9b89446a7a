//! Killed at every single act on a file, and whatever else can go wrong in the middle: no byte is lost, and it can be
//! done again.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use super::stage::{Stage, mode};
use super::support::{Run, stored_ids};

const CREDENTIALS: &str = "# mine\n[a]\naws_access_key_id = <ID1>\naws_secret_access_key = <SECRET1>\n[other]\naws_access_key_id = <OLDID>\naws_secret_access_key = <OLDSECRET>\naws_session_token = t\n[b]\naws_access_key_id = <ID1>\naws_secret_access_key = <SECRET1>\n# end";
const CONFIG: &str = "[profile c]\nregion = eu-west-1\naws_access_key_id = <ID2>\naws_secret_access_key = <SECRET2>\n[profile a]\noutput = json\n";

/// The library that is preloaded, and the folder it is in.
struct Killer(tempfile::TempDir);

impl Killer {
    fn compiled() -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/import/kill_at.c");
        let folder = tempfile::tempdir().unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]);
        let status = cc.arg(folder.path().join("kill_at.so")).arg(source).status();
        assert!(status.expect("cc: `make deps` installs it").success());
        Self(folder)
    }

    /// `import --all` with it; says what it came to and what it did to files.
    fn run(&self, stage: &Stage, more: &[(&str, String)]) -> (Run, Vec<String>) {
        let acts = stage.world.home.path().join("acts");
        let mut command = stage.command(&["import", "--all"]);
        command.env("LD_PRELOAD", self.0.path().join("kill_at.so")).env("ACTS", &acts);
        command.envs(more.iter().map(|(name, value)| (name, value)));
        let run = command.output().unwrap().into();
        let acts = std::fs::read_to_string(acts).unwrap();
        (run, acts.lines().map(str::to_owned).collect())
    }
}

fn stage() -> Stage {
    Stage::new(CREDENTIALS.as_bytes(), CONFIG.as_bytes())
}

/// The two files, before and after a whole import.
struct Versions {
    before: [Vec<u8>; 2],
    after: [Vec<u8>; 2],
}

impl Versions {
    fn of(stage: &Stage) -> Self {
        let gone = |text: &str, keys: &[&str]| {
            let is_gone = |line: &&str| keys.iter().any(|key| line.contains(key));
            let text = String::from_utf8(stage.filled(text.as_bytes())).unwrap();
            text.split_inclusive('\n').filter(|line| !is_gone(line)).collect::<String>()
        };
        let line = |name: &str| {
            let program = env!("CARGO_BIN_EXE_rotakey");
            format!("credential_process = {program} credential-process --profile {name}\n")
        };
        let taken = |name: &str| [stage.id(name).to_owned(), stage.secret(name).to_owned()];
        let (one, two) = (taken("1"), taken("2"));
        let credentials = gone(CREDENTIALS, &[&one[0], &one[1]]);
        let config = gone(CONFIG, &[&two[0], &two[1]]);
        let config =
            config.replace("region = eu-west-1\n", &format!("region = eu-west-1\n{}", line("c")));
        let config = format!("{config}{}\n[profile b]\n{}", line("a"), line("b"));
        Self {
            before: [stage.filled(CREDENTIALS.as_bytes()), stage.filled(CONFIG.as_bytes())],
            after: [credentials.into_bytes(), config.into_bytes()],
        }
    }

    /// Each file is one of its two versions, whole, and every secret is somewhere.
    fn check(&self, stage: &Stage, case: &str) {
        let now = [stage.read(&stage.credentials), stage.read(&stage.config)];
        for (n, now) in now.iter().enumerate() {
            let text = String::from_utf8_lossy(now);
            assert!(*now == self.before[n] || *now == self.after[n], "{case}: file {n}: {text}");
        }
        let is_old = |n: usize| now[n] == self.before[n];
        // The lines come before the keys go.
        assert!(is_old(0) || !is_old(1), "{case}: neither the keys nor the lines are there");
        let kept = stored_ids(&stage.world);
        for (n, name) in [(0, "1"), (1, "2")] {
            let is_kept = kept.contains(&stage.id(name).to_owned());
            assert!(is_old(n) || is_kept, "{case}: the secret of key {name} is lost");
        }
        for path in stage.leftovers() {
            let bytes = stage.read(&path);
            assert!(self.after.iter().any(|after| after.starts_with(&bytes)), "{case}: {path:?}");
            assert_eq!(mode(&path) & 0o077, 0, "{case}: {path:?}");
        }
    }

    /// It is done, nothing is left over, and programs get what they got.
    fn assert_done(&self, stage: &Stage, case: &str) {
        let now = [stage.read(&stage.credentials), stage.read(&stage.config)];
        assert!(now == self.after, "{case}: {}", String::from_utf8_lossy(&now[1]));
        assert_eq!(stage.leftovers(), Vec::<PathBuf>::new(), "{case}");
        for (profile, name) in [("a", "1"), ("b", "1"), ("c", "2")] {
            let run = stage.expect(0, &["credential-process", "--profile", profile]);
            assert!(run.stdout.contains(stage.secret(name)), "{case}: {profile}");
        }
    }
}

#[test]
fn killed_at_each_act_nothing_is_lost_and_it_can_be_done_again() {
    let killer = Killer::compiled();
    let whole = stage();
    let (run, acts) = killer.run(&whole, &[]);
    assert_eq!(run.code, 0, "{run:?}");
    Versions::of(&whole).assert_done(&whole, "untouched");
    assert!(acts.len() > 60, "{acts:#?}");
    let mut cases: Vec<(usize, bool)> = Vec::new();
    for (n, act) in acts.iter().enumerate() {
        cases.push((n + 1, false));
        if act.starts_with("write") {
            cases.push((n + 1, true));
        }
    }
    let kills = AtomicU64::new(0);
    let cases = std::sync::Mutex::new(cases.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let Some((n, half)) = cases.lock().unwrap().next() else { return };
                    let case = format!("killed at act {n} ({}), half {half}", acts[n - 1]);
                    let stage = stage();
                    let versions = Versions::of(&stage);
                    let half = if half { "1" } else { "0" };
                    let (run, _) = killer
                        .run(&stage, &[("KILL_AT", n.to_string()), ("KILL_HALF", half.into())]);
                    assert_eq!(run.code, -1, "{case}: {run:?}");
                    kills.fetch_add(1, Ordering::SeqCst);
                    versions.check(&stage, &case);
                    let run = stage.rotakey(&["import", "--all"]);
                    assert_eq!(run.code, 0, "{case}: {run:?}");
                    versions.assert_done(&stage, &case);
                }
            });
        }
    });
    println!("import: {} kills, 0 violations", kills.into_inner());
}

/// What a power cut could lose is synced before what relies on it.
#[test]
fn what_holds_a_secret_is_durable_before_the_other_copy_goes() {
    let killer = Killer::compiled();
    let stage = stage();
    let (run, acts) = killer.run(&stage, &[]);
    assert_eq!(run.code, 0, "{run:?}");
    let last = |name: &str| {
        let to = format!("/{name}");
        let is = |act: &String| act.starts_with("rename ") && act.ends_with(&to);
        acts.iter().rposition(is).unwrap_or_else(|| panic!("{name}: {acts:#?}"))
    };
    let order = ["state/keys", "config.toml", "aws/config", "aws/credentials"].map(last);
    assert!(order.is_sorted(), "{order:?}: {acts:#?}");
    // Each new version is synced before it is renamed, and its folder after, before anything else happens.
    for (n, act) in acts.iter().enumerate().filter(|(_, act)| act.starts_with("rename ")) {
        let words: Vec<_> = act.split(' ').collect();
        let touched = acts[..n].iter().rposition(|one| one.split(' ').nth(1) == Some(words[1]));
        assert_eq!(acts[touched.unwrap()], format!("sync {} ", words[1]), "{act}");
        let folder = std::path::Path::new(words[2]).parent().unwrap();
        assert_eq!(acts[n + 1], format!("sync {} ", folder.display()), "{act}");
    }
}

#[test]
fn what_somebody_else_changes_meanwhile_is_kept() {
    let killer = Killer::compiled();
    for name in ["credentials", "config"] {
        for times in [1, 3, 99] {
            let stage = stage();
            let versions = Versions::of(&stage);
            let (n, path) =
                if name == "config" { (1, &stage.config) } else { (0, &stage.credentials) };
            let meddle =
                [("MEDDLE", path.display().to_string()), ("MEDDLE_TIMES", times.to_string())];
            let (run, _) = killer.run(&stage, &meddle);
            let text = String::from_utf8(stage.read(path)).unwrap();
            let case = format!("{name}, {times} times: {run:?}: {text}");
            let written = text.matches("# somebody else").count();
            if times == 99 {
                assert!(
                    run.code == 1 && run.stderr.contains("was changed by another program"),
                    "{case}"
                );
                assert!(written == 5 && text.as_bytes().starts_with(&versions.before[n]), "{case}");
            } else {
                assert!(run.code == 0 && run.stderr.contains("once more"), "{case}");
                assert_eq!(written, times, "{case}");
            }
            assert_eq!(stage.leftovers(), Vec::<PathBuf>::new());
            stage.expect(0, &["import", "--all"]);
            assert!(
                !String::from_utf8(stage.read(path)).unwrap().contains(stage.secret(if n == 0 {
                    "1"
                } else {
                    "2"
                }))
            );
        }
    }
}
