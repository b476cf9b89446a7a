//! How a client refreshes, written down: each SDK and source has a file in tests/clients/golden, which a changed
//! behaviour makes untrue.
//!
//! The file has one line for each thing seen. `ROTAKEY_WRITE_DOCS=1` writes it anew.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use super::clock::Clock;
use super::driver::{Answer, Driver, Sdk};
use super::script::{Failure, Form, Script, TOKEN};
use super::scripted::Scripted;
use super::sources::{Source, root};

const OLD: &str = "ASIAOLDOLDOLDOLDOLD1";
const NEW: &str = "ASIANEWNEWNEWNEWNEW1";
const HOUR: i64 = 3600;

/// The section on a lease's end.
pub(crate) const CUTOVER_TITLE: &str =
    "an hour's lease of the old key ends, the source has the new one";

/// Where the clock is put while a lease of an hour ends, in seconds before its end. Between the edges that SDKs
/// have (15, 10 and 5 minutes, and Rust's 5 to 10 seconds) and not on them.
const CUTOVER: [(&str, i64); 11] = [
    ("E-25m", 1500),
    ("E-16m", 960),
    ("E-14m", 840),
    ("E-11m", 660),
    ("E-9m", 540),
    ("E-6m", 360),
    ("E-4m", 240),
    ("E-1m", 60),
    ("E-20s", 20),
    ("E-3s", 3),
    ("E+2s", -2),
];

/// Where the clock is put when the source fails.
const FAILING: [(&str, i64); 5] =
    [("E-20m", 1200), ("E-12m", 720), ("E-8m", 480), ("E-4m", 240), ("E+1m", -60)];

/// A client on a shifted clock, and sources to order.
struct Stage {
    scripted: Scripted,
    clock: Clock,
    driver: Driver,
    /// What the clock is ahead at the beginning of a scene. Each scene begins later than the last one ended, as
    /// clocks go.
    begun: i64,
    /// The true time when the scene began.
    since: Instant,
    _folder: tempfile::TempDir,
}

/// What was seen: sections of lines.
pub(crate) fn observe(sdk: Sdk, source: Source, whole: bool) -> Value {
    let mut stage = Stage::new(sdk, source);
    let mut seen = json!({
        "client": stage.version(),
        CUTOVER_TITLE: stage.cutover(),
        "how often the source is asked in 10 requests": stage.lifetimes(),
    });
    if whole {
        seen["the source fails while an hour's lease ends, and recovers with the new key"] =
            stage.failures(source);
        seen["answers, and what is signed with them"] = stage.answers();
    }
    seen
}

impl Stage {
    fn new(sdk: Sdk, source: Source) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let scripted = Scripted::start(folder.path());
        let clock = Clock::new(folder.path().join("clock"));
        let driver = Driver::start(sdk, source, &scripted.place, &clock.environment());
        Self { scripted, clock, driver, begun: 0, since: Instant::now(), _folder: folder }
    }

    fn version(&mut self) -> String {
        self.begin(|_| {});
        self.ask().client
    }

    /// A new session, the old key served for an hour, and the clock hours after the last scene.
    fn begin(&mut self, how: impl FnOnce(&mut Script)) {
        self.begun += 4 * HOUR;
        self.since = Instant::now();
        self.clock.set_ahead(self.begun);
        self.scripted.change(|script| {
            script.access_key_id = OLD.to_owned();
            script.lifetime_seconds = HOUR;
            script.ahead_seconds = self.begun;
            script.form = Form::Plain;
            script.failure = None;
            how(script);
        });
        self.driver.begin_anew();
        self.scripted.asked();
    }

    fn ask(&mut self) -> Answer {
        self.driver.ask("sts")
    }

    /// The old key is taken, the new one is served, and the clock goes on.
    fn cutover(&mut self) -> Value {
        self.begin(|_| {});
        let mut lines = vec![format!("E-60m: {}", self.two_requests())];
        self.scripted.change(|script| script.access_key_id = NEW.to_owned());
        for (name, before_end) in CUTOVER {
            self.be_at(before_end);
            lines.push(format!("{name}: {}", self.two_requests()));
        }
        json!(lines)
    }

    fn be_at(&mut self, before_end: i64) {
        // The scene's own length is not to count.
        let ahead = self.begun + HOUR - before_end - self.since.elapsed().as_secs() as i64;
        self.scripted.change(|script| script.ahead_seconds = ahead);
        self.clock.set_ahead(ahead);
    }

    /// Two, as some ask in the background and sign with what they have meanwhile.
    fn two_requests(&mut self) -> String {
        let first = signer(&self.ask());
        let asked = self.scripted.asked();
        let second = signer(&self.ask());
        let again = self.scripted.asked();
        format!("{first}, asked {asked}; {second}, asked {again}")
    }

    fn lifetimes(&mut self) -> Value {
        let mut lines = Vec::new();
        for minutes in [5, 14, 20, 26, 60] {
            self.begin(|script| script.lifetime_seconds = minutes * 60);
            let (mut asked, mut failed) = (0, 0);
            for _ in 0..10 {
                failed += u64::from(!self.ask().ok);
                asked += self.scripted.asked();
            }
            lines.push(format!("lease {minutes}m: asked {asked}, failed {failed}"));
        }
        json!(lines)
    }

    fn failures(&mut self, source: Source) -> Value {
        let mut lines = Vec::new();
        for failure in Failure::ALL {
            if source == Source::Process && failure == Failure::Status500 {
                continue;
            }
            for (name, before_end) in FAILING {
                self.begin(|_| {});
                self.ask();
                self.scripted.change(|script| script.failure = Some(failure));
                self.be_at(before_end);
                // The second one is for those who ask in the background.
                let (first, _) = (signer(&self.ask()), self.scripted.asked());
                let (second, _) = (signer(&self.ask()), self.scripted.asked());
                self.scripted.change(|script| {
                    script.failure = None;
                    script.access_key_id = NEW.to_owned();
                });
                let healed = signer(&self.ask());
                lines
                    .push(format!("{failure:?} at {name}: {first}, {second}; recovered: {healed}"));
            }
        }
        json!(lines)
    }

    fn answers(&mut self) -> Value {
        let mut lines = Vec::new();
        for form in Form::ALL {
            self.begin(|script| script.form = form);
            let answer = self.ask();
            let header = match self.scripted.token().as_deref() {
                _ if !answer.ok => "",
                None => ", no token in the request",
                Some("") => ", an EMPTY token in the request",
                Some(TOKEN) => ", the token in the request",
                Some(_) => ", ANOTHER token in the request",
            };
            lines.push(format!("{form:?}: {}{header}", signer(&answer)));
        }
        json!(lines)
    }
}

fn signer(answer: &Answer) -> &'static str {
    match answer.access_key_id.as_deref() {
        Some(OLD) => "old",
        Some(NEW) => "new",
        _ if answer.ok => "SIGNED BY WHOM?",
        _ => "error",
    }
}

/// Compares with the file, section by section; says what differs. Some time may be lost on a busy machine, so
/// that it is looked three times before a difference is believed.
pub(crate) fn compare(sdk: Sdk, source: Source, whole: bool) -> Result<(), String> {
    let file = path(sdk, source);
    if std::env::var_os("ROTAKEY_WRITE_DOCS").is_some() {
        let text = serde_json::to_string_pretty(&observe(sdk, source, true)).expect("JSON");
        std::fs::write(file, text + "\n").expect("writable");
        return Ok(());
    }
    let golden = load(sdk, source)?;
    let mut differing = String::new();
    for _ in 0..3 {
        let seen = observe(sdk, source, whole);
        let sections = seen.as_object().expect("an object");
        let differ = |(name, seen): (&String, &Value)| {
            let golden = &golden[name];
            (golden != seen).then(|| format!("{name}\n  golden: {golden:#}\n  seen: {seen:#}\n"))
        };
        differing = sections.iter().filter_map(differ).collect();
        if differing.is_empty() {
            return Ok(());
        }
    }
    Err(format!("{} changed. If that is right: make docs-generated\n{differing}", file.display()))
}

fn path(sdk: Sdk, source: Source) -> PathBuf {
    let file = format!("{}-{}.json", sdk.name(), source.name());
    root().join("tests/clients/golden").join(file)
}

/// What is written down.
pub(crate) fn load(sdk: Sdk, source: Source) -> Result<Value, String> {
    let file = path(sdk, source);
    let text = std::fs::read_to_string(&file);
    let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}
