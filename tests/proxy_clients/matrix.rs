//! Runs the clients, through the proxy and, for what does not work there, without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde::Deserialize;

use super::client::{Client, Limit, Way};
use super::judge::Judge;
use super::place::Sent;
use super::support::World;
use super::support::agent::Agent;
use super::upstream::{Came, Upstream};

/// How many clients are at work at once: the server behind them is one process of Python.
const AT_ONCE: usize = 2;

/// One client's line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) client: Client,
    pub(crate) way: Way,
    pub(crate) version: String,
    pub(crate) cells: Vec<Cell>,
    /// How the bodies of its uploads were signed.
    pub(crate) bodies: BTreeSet<&'static str>,
    /// Whatever is not as it was written down.
    pub(crate) wrong: Vec<String>,
}

/// What became of one act.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) act: &'static str,
    /// Why it does not work.
    pub(crate) limit: Option<Limit>,
}

/// A line that a client's program says.
#[derive(Debug, Deserialize)]
struct Said {
    act: String,
    error: Option<String>,
}

/// What all clients have about them.
struct Stage {
    world: World,
    upstream: Upstream,
    sent: Sent,
    /// What `rotakey env` says, by the name of the source.
    placeholders: BTreeMap<&'static str, BTreeMap<String, String>>,
    _agent: Agent,
}

const PROXY: &str = "[agent]\nlisten = \"127.0.0.1:0\"\nproxy_listen = \"127.0.0.1:0\"\n";

fn direct(bucket: &str) -> String {
    format!("{bucket}-direct")
}

impl Stage {
    fn new(runs: &[(Client, Way)]) -> Self {
        let sent = Sent::new();
        let buckets = runs.iter().map(|(client, way)| client.bucket(*way));
        let names: Vec<String> = buckets.flat_map(|name| [direct(&name), name]).collect();
        let upstream = Upstream::start(&sent.small(), &names);
        let mut world = World::new();
        world.url.clone_from(&upstream.ready.endpoint_url);
        world.id.clone_from(&upstream.ready.app.id);
        world.secret.clone_from(&upstream.ready.app.secret);
        world.add();
        world.configure_agent(PROXY, "region = \"us-east-1\"\nproxy_connect = true\n");
        let agent = world.agent();
        let env = |way: Way| {
            let run = world.expect(0, &["env", "--source", way.source(), "--format", "json"]);
            (way.source(), serde_json::from_str(&run.stdout).expect("a flat object"))
        };
        let placeholders = Way::ALL.map(env).into();
        Self { world, upstream, sent, placeholders, _agent: agent }
    }

    /// The environment of a client without the proxy.
    fn without_proxy(&self) -> BTreeMap<String, String> {
        let ready = &self.upstream.ready;
        let mut environment = self.placeholders[Way::Endpoint.source()].clone();
        environment.remove("HTTPS_PROXY");
        environment.remove("https_proxy");
        for (name, value) in [
            ("AWS_ENDPOINT_URL", &ready.endpoint_url),
            ("AWS_ACCESS_KEY_ID", &ready.direct.id),
            ("AWS_SECRET_ACCESS_KEY", &ready.direct.secret),
        ] {
            environment.insert(name.to_owned(), value.clone());
        }
        environment
    }

    /// Lets a client do these things; what became of each.
    fn perform(
        &self,
        client: &Client,
        way: Way,
        acts: &[&'static str],
        is_direct: bool,
    ) -> Performed {
        let folder = self.sent.folder();
        let (name, user, mut environment) = if is_direct {
            (direct(&client.bucket(way)), "direct", self.without_proxy())
        } else {
            (client.bucket(way), "app", self.placeholders[way.source()].clone())
        };
        for (variable, value) in [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", folder.path().display().to_string()),
            ("NAME", name.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ] {
            environment.insert(variable.to_owned(), value);
        }
        let output = client
            .command()
            .args(acts)
            .env_clear()
            .envs(&environment)
            .current_dir(folder.path())
            .output()
            .expect("it starts: run `make clients-deps`");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines: Vec<Said> =
            said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let judge = Judge {
            upstream: &self.upstream,
            sent: &self.sent,
            folder: folder.path(),
            name: &name,
            user,
            environment: &environment,
        };
        let become_of = |act: &&'static str| {
            let line = lines.iter().find(|line| line.act == *act);
            let result = match line {
                None => Err(format!("it ended before that: {told}")),
                Some(Said { error: Some(error), .. }) => Err(error.clone()),
                Some(_) => judge.judge(act),
            };
            (*act, result)
        };
        let results = acts.iter().map(become_of).collect();
        let has_real = self.holds_the_real_key(folder.path(), &format!("{said}{told}"));
        Performed { results, has_real }
    }

    /// Whether the real key, or its id, is anywhere in what the client has.
    fn holds_the_real_key(&self, folder: &std::path::Path, said: &str) -> bool {
        let key = &self.upstream.ready.app;
        let holds = |bytes: &[u8]| {
            [&key.id, &key.secret]
                .iter()
                .any(|part| memchr::memmem::find(bytes, part.as_bytes()).is_some())
        };
        let files = std::fs::read_dir(folder).expect("a folder").flatten();
        let mut contents = files.filter_map(|file| std::fs::read(file.path()).ok());
        holds(said.as_bytes()) || contents.any(|bytes| holds(&bytes))
    }

    fn row(&self, client: &Client, way: Way) -> Row {
        let is_tried = |act: &&str| !matches!(client.limit(way, act), Some(Limit::Past(_)));
        let tried: Vec<&'static str> = client.acts.iter().copied().filter(is_tried).collect();
        let through = self.perform(client, way, &tried, false);
        let mut wrong = Vec::new();
        if through.has_real {
            wrong.push(format!("{}: it has seen the real key", client.name));
        }
        let failed: Vec<&'static str> = through.failed().collect();
        let directly = match failed.is_empty() {
            true => Performed::default(),
            false => self.perform(client, way, &failed, true),
        };
        for (act, result) in &through.results {
            let direct = directly.results.iter().find(|(name, _)| name == act);
            if let Some(what) = against(client.limit(way, act), result, direct.map(|(_, it)| it)) {
                wrong.push(format!("{} by {}, {act}: {what}", client.name, way.source()));
            }
        }
        let cells =
            client.acts.iter().map(|act| Cell { act, limit: client.limit(way, act) }).collect();
        let version = version(client);
        Row { client: *client, way, version, cells, bodies: BTreeSet::new(), wrong }
    }

    /// What the server's log says of each: only the real key came, and it was never refused.
    fn look_into(&self, log: &[Came], rows: &mut [Row]) {
        let ready = &self.upstream.ready;
        let placeholder = &self.placeholders[Way::Endpoint.source()]["AWS_ACCESS_KEY_ID"];
        let mut wrong = Vec::new();
        for came in log {
            let text = format!("{came:?}");
            if text.contains(placeholder) {
                wrong.push(format!("the placeholder came through: {text}"));
            }
            let is_direct = came.key.as_deref() == Some(&ready.direct.id);
            if !is_direct && (came.key.as_deref() != Some(&ready.app.id) || came.refused.is_some())
            {
                wrong.push(format!("refused: {text}"));
            }
        }
        for row in rows.iter_mut() {
            row.wrong.append(&mut wrong);
            let bucket = row.client.bucket(row.way);
            let own = || log.iter().filter(|came| came.is_in(&bucket));
            let uploads = own().filter(|came| came.method == "PUT");
            row.bodies = uploads.filter_map(|came| came.payload.as_deref()).map(body).collect();
            let parts = own().filter(|came| came.target.contains("partNumber=")).count();
            if row.client.acts.contains(&"multipart") && parts < 2 {
                row.wrong.push(format!("{}: {parts} parts", row.client.name));
            }
        }
    }
}

/// What became of some acts.
#[derive(Debug, Default)]
struct Performed {
    results: Vec<(&'static str, Result<(), String>)>,
    has_real: bool,
}

impl Performed {
    fn failed(&self) -> impl Iterator<Item = &'static str> {
        self.results.iter().filter(|(_, result)| result.is_err()).map(|(act, _)| *act)
    }
}

/// What is not as it is written down.
fn against(
    limit: Option<Limit>,
    through: &Result<(), String>,
    direct: Option<&Result<(), String>>,
) -> Option<String> {
    match (limit, through, direct) {
        (None, Ok(()), _)
        | (Some(Limit::Own(_)), Err(_), Some(Err(_)))
        | (Some(Limit::Proxy(_)), Err(_), Some(Ok(()))) => None,
        (Some(limit), Ok(()), _) => Some(format!("it works, in spite of {limit:?}")),
        (_, Err(error), direct) => Some(format!("{error}\nwithout the proxy: {direct:?}")),
    }
}

/// In words, how a body was signed.
fn body(payload: &str) -> &'static str {
    match payload {
        "hash" => "hash",
        "UNSIGNED-PAYLOAD" => "unsigned",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => "unsigned, with trailer",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => "signed chunks",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => "signed chunks and trailer",
        _ => "another",
    }
}

fn version(client: &Client) -> String {
    let nothing = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NAME"];
    let mut command = client.command();
    command.arg("version").envs(nothing.map(|name| (name, "x")));
    let output = command.output().expect("it starts: run `make clients-deps`");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs them all.
pub(crate) fn run(runs: &[(Client, Way)]) -> Vec<Row> {
    let stage = Stage::new(runs);
    let (waiting, done) = (Mutex::new(runs.iter().enumerate()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().next();
                    let Some((n, (client, way))) = next else { return };
                    let row = stage.row(client, *way);
                    done.lock().unwrap().insert(n, row);
                }
            });
        }
    });
    let mut rows: Vec<Row> = done.into_inner().unwrap().into_values().collect();
    stage.look_into(&stage.upstream.log(), &mut rows);
    stage.world.expect(0, &["history", "--verify"]);
    rows
}
