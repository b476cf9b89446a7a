//! The dashboard's queries, asked of a real Prometheus that scrapes a real agent, and its panels, drawn. It needs Debian's
//! `prometheus` and Grafana's libraries, which are large, so it runs when asked for, by `make dashboard`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::drawn;
use super::fleet::Fleet;
use super::support::agent::{Agent, http};

/// How much the picture shows.
const SHOWN: Duration = Duration::from_secs(120);

/// Killed, by its pid, when this is dropped.
struct Prometheus {
    child: Child,
    at: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(target: SocketAddr, folder: &std::path::Path) -> Self {
        let program = std::env::var_os("ROTAKEY_PROMETHEUS").expect("ROTAKEY_PROMETHEUS names it");
        let config = folder.join("prometheus.yml");
        let jobs = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: rotakey, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        std::fs::write(&config, jobs).unwrap();
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .arg(format!("--web.user-assets={}", drawn::room().join("page").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { child, at }
    }

    /// What a query finds, `None` while it is not up.
    fn ask(&self, query: &str) -> Option<Value> {
        TcpStream::connect(self.at).ok()?;
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = http(self.at, "GET", &format!("/api/v1/query?query={escaped}"), "");
        if answer.status == 503 {
            return None;
        }
        let value = answer.json();
        assert_eq!(value["status"], "success", "{query}: {value}");
        Some(value["data"]["result"].clone())
    }
}

/// Between the agent's Unix socket and a port: `/metrics`, and nothing else.
fn bridge(agent: &Arc<Agent>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let agent = Arc::downgrade(agent);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), Some(agent)) = (stream, agent.upgrade()) else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let answer = agent.control("GET", "/metrics", b"");
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                answer.body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer.body));
        }
    });
    at
}

fn panels() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/grafana/rotakey.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

fn queries() -> Vec<(String, String)> {
    let of_panel = |panel: Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |target| {
            let query = target["expr"].as_str().unwrap().replace("$profile", ".*");
            (title.clone(), query.replace("$__rate_interval", "20s"))
        })
    };
    panels().into_iter().flat_map(of_panel).collect()
}

#[test]
#[ignore = "needs Prometheus, see above"]
fn every_panel_of_the_dashboard_has_something_to_show() {
    let mut fleet = Fleet::start();
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(bridge(&fleet.agent), folder.path());
    let begun = Instant::now();
    let mut left = queries();
    assert!(left.len() >= 15, "{}", left.len());
    while !left.is_empty() || begun.elapsed() < SHOWN {
        assert!(begun.elapsed() < 2 * SHOWN, "nothing to show: {left:#?}");
        fleet.live();
        left.retain(|(title, query)| {
            let found = prometheus.ask(query);
            let is_there = found.as_ref().is_some_and(|found| found[0].is_object());
            if is_there {
                println!("{title}: {}", found.unwrap_or_default());
            }
            !is_there
        });
        std::thread::sleep(Duration::from_millis(250));
    }
    // Life goes on while it is drawn.
    let outcomes = std::thread::scope(|scope| {
        let drawing = scope.spawn(|| {
            let outcomes = drawn::outcomes(prometheus.at);
            drawn::picture(prometheus.at);
            outcomes
        });
        while !drawing.is_finished() {
            fleet.live();
        }
        drawing.join().unwrap()
    });
    let text = String::from_utf8(fleet.agent.control("GET", "/metrics", b"").body).unwrap();
    println!("{text}\n{outcomes:#?}");
    for panel in panels() {
        // Grafana draws this type in its program, not in its libraries.
        let expected = if panel["type"] == "state-timeline" { "not drawn" } else { "drawn" };
        let title = panel["title"].as_str().unwrap();
        assert_eq!(outcomes.get(title).map(String::as_str), Some(expected), "{title}");
    }
}
