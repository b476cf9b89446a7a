//! The dashboard's queries, asked of a real Prometheus that scrapes a real agent. It needs Debian's `prometheus`, which
//! is large, so it runs when asked for, by `make dashboard`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::World;
use super::support::agent::{ANYWHERE, Agent, http};

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

/// Whoever runs this has the placeholder.
const CURL: &str = "exec curl -sS -o /dev/null --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" \
    --aws-sigv4 aws:amz:us-east-1:s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \"$AWS_ENDPOINT_URL/\"";

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

fn queries() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/grafana/rotakey.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |target| {
            let query = target["expr"].as_str().unwrap().replace("$profile", ".*");
            (title.clone(), query.replace("$__rate_interval", "20s"))
        })
    };
    panels.iter().flat_map(of_panel).collect()
}

#[test]
#[ignore = "needs Prometheus, see above"]
fn every_panel_of_the_dashboard_has_something_to_show() {
    let world = World::added();
    let with_proxy = format!("{ANYWHERE}proxy_listen = \"127.0.0.1:0\"\n");
    world.configure_agent(&with_proxy, "imds = true\n");
    let agent = Arc::new(world.agent());
    let proxy = agent.status()["proxy_listen"].as_str().unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(bridge(&agent), folder.path());
    let deadline = Instant::now() + Duration::from_secs(120);
    world.expect(0, &["rotate", "app"]);
    let mut left = queries();
    assert!(left.len() >= 15, "{}", left.len());
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "nothing to show: {left:#?}");
        agent.container("app");
        agent.http("GET", "/credentials/app", "Authorization: wrong\r\n");
        // Refused; and one that AWS answers.
        http(proxy, "GET", "/", "");
        world.expect(0, &["exec", "app", "--source", "proxy", "--", "sh", "-c", CURL]);
        // Calls to AWS are those of rotations that the agent goes on with.
        if left.len() < 4 && world.step().is_none() {
            world.expect(0, &["rotate", "app"]);
        }
        left.retain(|(title, query)| {
            let found = prometheus.ask(query);
            let is_there = found.as_ref().is_some_and(|found| found[0].is_object());
            if is_there {
                println!("{title}: {}", found.unwrap_or_default());
            }
            !is_there
        });
        std::thread::sleep(Duration::from_millis(500));
    }
    let text = String::from_utf8(agent.control("GET", "/metrics", b"").body).unwrap();
    println!("{text}");
}
