//! Servers with TLS: who is believed, and what is sent to the others.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::world::{CONNECT, PROXY, exec, script};
use crate::support::agent::Agent;
use crate::support::{World, venv};

/// A server that has this wrong, or nothing.
pub(crate) struct Upstream {
    pub(crate) child: Child,
    port: u16,
    pub(crate) dir: tempfile::TempDir,
}

impl Upstream {
    pub(crate) fn start(case: &str) -> Self {
        Self::start_by(Command::new(venv().join("bin/python")), case)
    }

    /// By a command that ends with Python.
    pub(crate) fn start_by(mut python: Command, case: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut child = python
            .arg(script("upstream.py"))
            .arg(dir.path())
            .arg(case)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().expect("a port"), dir }
    }

    /// What it was sent.
    pub(crate) fn seen(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("seen")).unwrap_or_default()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A world whose profile has that server for all but IAM and STS, and an agent that trusts its authority.
fn world(upstream: &Upstream) -> (World, Agent) {
    let world = World::added();
    let own = format!("endpoint_url = \"{}\"\n", world.url);
    let endpoints = format!(
        "endpoint_url = \"https://localhost:{}\"\nendpoint_url_iam = \"{url}\"\nendpoint_url_sts = \"{url}\"\n",
        upstream.port,
        url = world.url
    );
    let profile = world.quick_profile(CONNECT).replace(&own, &endpoints);
    world.configure(&format!("{PROXY}{profile}"));
    let mut command = world.command();
    command.env("SSL_CERT_FILE", upstream.dir.path().join("ca.pem"));
    // Nobody listens there, and nobody is asked.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one");
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        command.env(name, format!("http://{closed}"));
    }
    let agent = Agent::start(&world, command);
    (world, agent)
}

const LIST: &str = "exec curl -sS --max-time 60 -w ' %{http_code} %{redirect_url}' --aws-sigv4 aws:amz:us-east-1:s3 \
    --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' ";

/// Lists buckets, by either way; what came back.
fn list(world: &World, url: &str) -> String {
    let output = exec(world, "proxy", &["sh", "-c", &format!("{LIST}{url}")]);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

const WAYS: [&str; 2] = ["$AWS_ENDPOINT_URL/", "https://s3.us-east-1.amazonaws.com/"];

#[test]
fn a_server_with_the_right_certificate_is_asked_and_no_proxy_of_the_environment() {
    let upstream = Upstream::start("right");
    let (world, _agent) = world(&upstream);
    for way in WAYS {
        let told = list(&world, way);
        assert!(told.contains("ListAllMyBucketsResult") && told.contains(" 200"), "{way}: {told}");
    }
    // Who configured a server has it asked for the host that was meant.
    let own = format!("GET / localhost:{}\n", upstream.port);
    assert_eq!(upstream.seen(), format!("{own}GET / s3.us-east-1.amazonaws.com\n"));
}

#[test]
fn a_server_that_cannot_be_believed_is_sent_nothing() {
    for case in ["wrong_name", "expired", "unknown", "old"] {
        let upstream = Upstream::start(case);
        let (world, _agent) = world(&upstream);
        for way in WAYS {
            let told = list(&world, way);
            assert!(
                told.contains("did not answer") && told.contains(" 503"),
                "{case} {way}: {told}"
            );
        }
        assert_eq!(upstream.seen(), "", "{case}");
    }
}

#[test]
fn no_redirect_is_followed() {
    let upstream = Upstream::start("redirect");
    let (world, _agent) = world(&upstream);
    for way in WAYS {
        let told = list(&world, way);
        assert!(told.contains(" 307 ") && told.contains("/elsewhere"), "{told}");
    }
    assert!(!upstream.seen().contains("elsewhere"), "{}", upstream.seen());
}

#[test]
fn a_system_without_root_certificates_is_told_what_it_lacks() {
    let upstream = Upstream::start("right");
    let world = World::new();
    let url = format!("https://localhost:{}", upstream.port);
    let add = |name: &str, url: &str| {
        let key = ["--access-key-id", &world.id, "--secret-stdin", "--endpoint-url", url];
        let mut command = world.command();
        command.args(["add", name]).args(key).env("SSL_CERT_FILE", "/dev/null");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let secret = world.secret.as_bytes();
        child.stdin.take().expect("a pipe").write_all(secret).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = add("app", &url);
    assert!(code != Some(0) && told.contains("install ca-certificates"), "{code:?} {told}");
    assert_eq!(upstream.seen(), "");
    // Where no TLS is needed, nothing is missing.
    assert_eq!(add("app", &world.url).0, Some(0));
    let command = |url: &str| {
        let profile = world.quick_profile("").replace(&world.url, url);
        world.configure(&format!("{PROXY}{profile}"));
        let mut command = world.command();
        command.env("SSL_CERT_FILE", "/dev/null");
        command
    };
    let mut child = command(&url).arg("agent").stderr(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut told: Vec<String> = Vec::new();
    for line in lines {
        told.push(line);
        if told.last().is_some_and(|line| line.contains("serving ")) {
            break;
        }
    }
    // It has ended, if all is well.
    let _ = child.kill();
    let status = child.wait().expect("ours");
    let told = told.join("\n");
    assert!(status.code().is_some() && told.contains("install ca-certificates"), "{told}");
    let running = Agent::start(&world, command(&world.url));
    assert!(running.status()["proxy_listen"].is_string());
}
