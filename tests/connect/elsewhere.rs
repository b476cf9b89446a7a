//! Other machines, and AWS's own names, in a network of its own: what the proxy connects to without an `endpoint_url`.

use std::path::Path;
use std::process::Command;

use super::upstream::Upstream;
use super::world::{CONNECT, PROXY, env, port};
use crate::support::agent::Agent;
use crate::support::{Run, World, venv};

/// A network with servers, an agent in it, and the world that it is of.
struct Network {
    world: World,
    agent: Agent,
    upstream: Upstream,
}

impl Network {
    fn start() -> Self {
        let mut python = Command::new("unshare");
        python.args(["--net", "--mount", "--propagation", propagation(), "--"]);
        python.arg(venv().join("bin/python"));
        let upstream = Upstream::start_by(python, "elsewhere");
        let world = World::added();
        let own = format!("endpoint_url = \"{}\"\n", world.url);
        let profile = world.quick_profile(CONNECT).replace(&own, "region = \"us-east-1\"\n");
        world.configure(&format!("{PROXY}proxy_other_hosts = \"tunnel\"\n{profile}"));
        let plain = world.command();
        let mut command = inside(&upstream, Path::new(plain.get_program()));
        command.env_clear();
        for (name, value) in plain.get_envs() {
            command.env(name, value.expect("none is taken away"));
        }
        command.env("SSL_CERT_FILE", upstream.dir.path().join("ca.pem"));
        let agent = Agent::start(&world, command);
        Self { world, agent, upstream }
    }

    /// What curl says, in that network and through the proxy, and the status.
    fn curl(&self, trusted: &Path, arguments: &[&str]) -> Run {
        let mut command = inside(&self.upstream, Path::new("curl"));
        command.args([
            "-sS",
            "--max-time",
            "60",
            "-w",
            " %{http_code}",
            "--noproxy",
            "",
            "--cacert",
        ]);
        command.arg(trusted).args(arguments);
        command.output().expect("it starts").into()
    }

    fn through(&self, trusted: &Path, arguments: &[&str]) -> Run {
        let proxy = format!("http://127.0.0.1:{}", port(&self.agent));
        self.curl(trusted, &[&["-x", &proxy], arguments].concat())
    }

    /// What came since the last time that this was asked.
    fn arrived(&self) -> String {
        let seen = self.upstream.seen();
        let _ = std::fs::remove_file(self.upstream.dir.path().join("seen"));
        seen
    }
}

/// What is mounted in there stays there. In a chroot the root is no mount whose propagation could be changed.
fn propagation() -> &'static str {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("readable");
    let is_mount = mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"));
    if is_mount { "private" } else { "unchanged" }
}

/// A program in the network of a server, and with its root: in a chroot the mount namespace alone would lead out of it.
fn inside(upstream: &Upstream, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.args([
        "--net",
        "--mount",
        "--root",
        "--wd",
        "--target",
        &upstream.child.id().to_string(),
        "--",
    ]);
    command.arg(program);
    command
}

#[test]
fn other_hosts_are_passed_on_unseen_and_never_to_this_machine() {
    let network = Network::start();
    // The server's own certificate is what the program sees.
    let theirs = network.upstream.dir.path().join("ca.pem");
    let run = network.through(&theirs, &["https://other.example/a?b=c"]);
    assert!(run.code == 0 && run.stdout.ends_with(" 200"), "{run:?}");
    assert_eq!(network.arrived(), "GET /a?b=c other.example 203.0.113.7 None\n");
    let ours = network.world.home.path().join("state/ca.pem");
    let run = network.through(&ours, &["https://other.example/"]);
    assert!(run.code == 60, "it is not ours to trust: {run:?}");
    for (url, status) in [
        ("https://loop.example/", 502),
        ("https://meta.example/", 502),
        ("https://nobody.example/", 502),
        ("https://other.example:8443/", 403),
        ("https://203.0.113.7/", 403),
        ("https://localhost/", 403),
    ] {
        let run = network.through(&theirs, &["-o", "/dev/null", "-w", "%{http_connect}", url]);
        assert!(run.code != 0 && run.stdout == status.to_string(), "{url}: {run:?}");
    }
    assert_eq!(network.arrived(), "");
}

#[test]
fn awss_own_names_are_asked_by_the_table_and_as_they_are_named() {
    let network = Network::start();
    let world = &network.world;
    let ours = world.home.path().join("state/ca.pem");
    let variables = env(world, "proxy");
    let text = |name: &str| variables[name].as_str().expect("a text").to_owned();
    let user = format!("{}:{}", text("AWS_ACCESS_KEY_ID"), text("AWS_SECRET_ACCESS_KEY"));
    let signed = |service: &str| format!("aws:amz:us-east-1:{service}");
    let hash = "x-amz-content-sha256: UNSIGNED-PAYLOAD";
    let arguments = |service: &str, url: &str| -> Vec<String> {
        let all = ["--user", &user, "--aws-sigv4", &signed(service), "-H", hash, url];
        all.map(str::to_owned).to_vec()
    };
    // By the endpoint: the table has the host.
    let all = arguments("s3", &format!("{}/b/k", text("AWS_ENDPOINT_URL")));
    let run = network.curl(&ours, &all.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(run.stdout.ends_with(" 200"), "{run:?}");
    let real = &world.id;
    let own = "s3.us-east-1.amazonaws.com";
    assert_eq!(network.arrived(), format!("GET /b/k {own} 203.0.113.8 {real}\n"));
    for (service, host, answer) in [
        ("s3", "virtual.s3.us-east-1.amazonaws.com", Ok("203.0.113.8")),
        // Private DNS leads a service's own name to a VPC's endpoint; not what a program may call itself.
        ("kinesis", "kinesis.us-east-1.amazonaws.com", Ok("10.1.2.3")),
        ("es", "inner.us-east-1.es.amazonaws.com", Err(" 503")),
        ("es", "linked.us-east-1.es.amazonaws.com", Err(" 503")),
    ] {
        let all = arguments(service, &format!("https://{host}/k"));
        let run = network.through(&ours, &all.iter().map(String::as_str).collect::<Vec<_>>());
        match answer {
            Ok(at) => {
                assert!(run.stdout.ends_with(" 200"), "{host}: {run:?}");
                assert_eq!(network.arrived(), format!("GET /k {host} {at} {real}\n"));
            }
            Err(status) => {
                assert!(run.stdout.ends_with(status), "{host}: {run:?}");
                assert_eq!(network.arrived(), "", "{host}");
            }
        }
    }
}
