//! A real browser, led to the agent by a page: across origins, and by DNS rebinding.
//!
//! The same page is led to a server that answers everything, and reads it: what it reads of the agent is nothing because
//! the agent gives nothing.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::lures::{Lure, READABLE, Served};
use super::siege::{PATIENCE, Siege, refused, tail};

/// Whose page it is. No such name is known anywhere; the browser is told where it leads.
const ATTACKER: &str = "attacker.test";

/// A browser of the same user as the agent, which is the one that passes the check of the user.
struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn command(profile: &tempfile::TempDir) -> Command {
        let mut command = Command::new("chromium");
        command
            .args(["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            // It does not start as root otherwise, nor in a container without namespaces.
            .arg("--no-sandbox")
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg(format!("--host-resolver-rules=MAP {ATTACKER} 127.0.0.1"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Self::command(&profile);
        // With a port for debugging it stays until it is stopped.
        command.args(["--remote-debugging-port=0", url]).stdout(Stdio::null());
        let child = command.spawn();
        let child = child.expect("a browser: `make deps` installs it (Debian's package chromium)");
        Self { child, _profile: profile }
    }

    /// What stands on the page that a person would see.
    fn dump(url: &str) -> String {
        let profile = tempfile::tempdir().unwrap();
        let output = Self::command(&profile).args(["--dump-dom", url]).output();
        let output =
            output.expect("a browser: `make deps` installs it (Debian's package chromium)");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its children end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the page could read, by what it tried.
type Read = BTreeMap<String, String>;

/// The report of the page, once it has come.
fn report(lure: &Lure) -> Read {
    let deadline = Instant::now() + 3 * PATIENCE;
    loop {
        if let Some(report) = lure.report() {
            let read: Read = serde_json::from_str(&report).unwrap();
            assert!(read.len() >= 20, "{read:?}");
            return read;
        }
        assert!(Instant::now() < deadline, "the browser reports nothing");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Opens the attacker's page, served from another port, against this target.
fn across_origins(target: &str, token: &str) -> Read {
    let lure = Lure::open(Served::Page { target: target.to_owned(), token: token.to_owned() });
    let _browser = Browser::open(&format!("http://{ATTACKER}:{}/", lure.port()));
    report(&lure)
}

/// Opens the attacker's page at a port, which `instead` then takes over: for the browser, the same origin.
fn rebound<T>(token: &str, instead: impl FnOnce(u16) -> T) -> (Read, T) {
    let collector = Lure::open(Served::Everything);
    let page = Served::PageOnce { collector: collector.url(), token: token.to_owned() };
    let lure = Lure::open(page);
    let port = lure.port();
    let _browser = Browser::open(&format!("http://{ATTACKER}:{port}/"));
    lure.wait_until_taken();
    // The port is free now.
    let other = instead(port);
    (report(&collector), other)
}

fn readable(read: &Read) -> Vec<&str> {
    let stolen = read.iter().filter(|(_, text)| text.contains(READABLE));
    stolen.map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_page_of_another_origin_reads_nothing() {
    let open = Lure::open(Served::Everything);
    let read = across_origins(&open.url(), "a-token");
    let control = readable(&read);
    for name in
        ["get", "authorization", "put", "imds", "post", "xhr", "script", "stylesheet", "events"]
    {
        assert!(control.contains(&name), "the test can see: {name}: {read:?}");
    }
    assert!(open.asked().iter().any(|line| line.starts_with("OPTIONS")), "it asks beforehand");

    let siege = Siege::new("-v");
    for host in ["127.0.0.1", "localhost"] {
        let read = across_origins(&format!("http://{host}:{}", siege.at.port()), &siege.token);
        println!("{host}: {read:#?}");
        assert_blind(&siege, &read);
        // Nothing at all is readable, not even that it was refused.
        for (name, text) in &read {
            let says_nothing = text.starts_with("failed: ")
                || ["opaque 0 ", "closed SecurityError", "closed TypeError", "sent true"]
                    .contains(&text.as_str());
            assert!(says_nothing, "{name}: {text}");
        }
    }
    let said = siege.end();
    let refusals = refused(&said, "Browser");
    assert!(refusals >= 2 * 15, "{refusals} refusals: {}", tail(&said));
}

#[test]
fn dns_rebinding_reads_nothing_but_refusals() {
    let (read, open) = rebound("a-token", |port| Lure::open_at(port, Served::Everything));
    let control = readable(&read);
    for name in
        ["get", "authorization", "put", "put, no referrer", "imds", "xhr", "iframe", "form, get"]
    {
        assert!(control.contains(&name), "the test can see: {name}: {read:?}");
    }
    assert!(!open.asked().iter().any(|line| line.starts_with("OPTIONS")), "it is the same origin");
    drop(open);

    // The token of the world that is to come is not known yet; no token is asked for by the PUT.
    let (read, siege) = rebound("a-token", |port| {
        let agent = format!("[agent]\nlisten = \"127.0.0.1:{port}\"\n");
        Siege::listening("-v", &agent, |world| world.command())
    });
    println!("{read:#?}");
    assert_blind(&siege, &read);
    for name in ["get", "authorization", "put", "put, no referrer", "imds", "post"] {
        let text = &read[name];
        assert!(text.starts_with("basic 403 ") && text.contains("ForeignHost"), "{name}: {text}");
    }
    let said = siege.end();
    let refusals = refused(&said, "Host");
    assert!(refusals >= 15, "{refusals} refusals: {}", tail(&said));
    assert!(said.contains(&format!("Host: {ATTACKER}")), "whose page it was: {}", tail(&said));
}

/// A person who types the address into the browser sees a refusal.
#[test]
fn a_browser_is_refused_by_its_own_name_too() {
    let siege = Siege::new("-v");
    let port = siege.at.port();
    for (host, code) in
        [("127.0.0.1", "Browser"), ("localhost", "Browser"), (ATTACKER, "ForeignHost")]
    {
        let page = Browser::dump(&format!("http://{host}:{port}/credentials/app"));
        assert!(page.contains(code), "{host}: {page}");
        assert_eq!(siege.secret_in(page.as_bytes()), None);
    }
    siege.end();
}

fn assert_blind(siege: &Siege, read: &Read) {
    let all = serde_json::to_string(read).unwrap();
    assert_eq!(readable(read), Vec::<&str>::new());
    assert_eq!(siege.secret_in(all.replace(&siege.token, "").as_bytes()), None, "{read:?}");
    for word in ["ASIA", "AKIA", "SecretAccessKey"] {
        assert!(!all.contains(word), "{read:?}");
    }
}
