//! Notifications on a real session bus, and `on_event`.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;

use jiff::Timestamp;
use rotakey_agent::news::{Announcer, Kind, News, Ways};
use zbus::zvariant::OwnedValue;

const INSIDE: &str = "ROTAKEY_TEST_SEEN_SESSION";

/// Runs the body in a session of its own.
fn in_session(name: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .args(["--kill-after=5", "60", "dbus-run-session", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env_remove("DISPLAY")
        .output()
        .expect("Debian package needed: dbus");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{errors}", output.status);
    assert!(text.contains("1 passed"), "{text}");
}

/// A notification server (Desktop Notifications Specification 1.2), as far as it is asked.
struct Desktop {
    told: Sender<(String, String, u8)>,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Desktop {
    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn notify(
        &self,
        app: String,
        _replaces: u32,
        _icon: String,
        summary: String,
        _body: String,
        _actions: Vec<String>,
        hints: HashMap<String, OwnedValue>,
        _expires: i32,
    ) -> u32 {
        let urgency = u8::try_from(&*hints["urgency"]).unwrap();
        self.told.send((app, summary, urgency)).unwrap();
        7
    }
}

/// Sees what goes over the bus. It is ended by its process id.
struct Monitor(Child);

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn news(kind: Kind, message: &str) -> News {
    News {
        time: Timestamp::now(),
        profile: "deploy".to_owned(),
        kind,
        rotation: None,
        access_key_id: None,
        message: message.to_owned(),
        hint: Some("`rotakey status deploy`".to_owned()),
    }
}

#[test]
fn a_person_sees_it_on_his_desktop() {
    in_session("desktop::a_person_sees_it_on_his_desktop", || {
        let (told, notified) = std::sync::mpsc::channel();
        let _server = zbus::blocking::connection::Builder::session()
            .unwrap()
            .serve_at("/org/freedesktop/Notifications", Desktop { told })
            .unwrap()
            .name("org.freedesktop.Notifications")
            .unwrap()
            .build()
            .unwrap();
        let mut monitor = Command::new("dbus-monitor")
            .args(["--session", "interface=org.freedesktop.Notifications"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(monitor.stdout.take().unwrap());
        let _monitor = Monitor(monitor);
        // The monitor says so when it listens.
        let mut out = out.lines();
        let mut listens = || out.next().unwrap().unwrap().contains("NameLost");
        while !listens() {}
        let announcer = Announcer::new(Ways { desktop: true, ..Ways::default() });
        announcer.tell(&news(Kind::Stuck, "a stranger's key <AKIA> fills the quota"));
        drop(announcer);
        let mut seen = Vec::new();
        for line in out {
            let line = line.unwrap();
            let is_last = line.contains("int32 -1");
            seen.push(line);
            if is_last {
                break;
            }
        }
        let seen = seen.join("\n");
        for words in [
            "member=Notify",
            "string \"rotakey\"",
            "string \"rotakey: deploy stuck\"",
            "a stranger's key &lt;AKIA&gt; fills the quota",
            "`rotakey status deploy`",
            "string \"urgency\"",
            "byte 2",
        ] {
            assert!(seen.contains(words), "{words}: {seen}");
        }
        let (app, summary, urgency) = notified.recv().unwrap();
        assert_eq!(
            (app.as_str(), summary.as_str(), urgency),
            ("rotakey", "rotakey: deploy stuck", 2)
        );
    });
}

/// A server has no bus: nothing is shown, nothing fails, and the command hears of it all the same.
#[test]
fn without_a_desktop_the_command_still_hears_of_it() {
    in_session("desktop::without_a_desktop_the_command_still_hears_of_it", || {
        let dir = tempfile::tempdir().unwrap();
        let heard = dir.path().join("heard");
        let ways = Ways { desktop: true, on_event: Some(format!("cat > {heard:?}")), file: None };
        let announcer = Announcer::new(ways);
        announcer.tell(&news(Kind::Quarantine, "AWS attached a policy"));
        drop(announcer);
        let event: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&heard).unwrap()).unwrap();
        assert_eq!((&event["version"], &event["kind"]), (&1.into(), &"quarantine".into()));
        assert_eq!(event["hint"], "`rotakey status deploy`");
    });
}
