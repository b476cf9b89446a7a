//! Who is at the proxy's port and should not be, and what it says of itself.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::calls::{exec, proxied};
use crate::support::World;
use crate::support::agent::Agent;

fn port(agent: &Agent) -> u16 {
    let status = agent.status();
    let at: std::net::SocketAddr = status["proxy_listen"].as_str().unwrap().parse().unwrap();
    at.port()
}

/// Sends bytes, and gives back all that comes until the proxy closes.
fn send(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.write_all(bytes).expect("it reads");
    let mut answer = Vec::new();
    // What it does not want to read any more may reset the connection.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn placeholder(world: &World) -> (String, String) {
    let run = world.expect(0, &["env", "--source", "proxy", "--format", "json"]);
    let env: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let text = |name: &str| env[name].as_str().expect("a text").to_owned();
    (text("AWS_ACCESS_KEY_ID"), text("AWS_SECRET_ACCESS_KEY"))
}

/// Root runs the tests, and `nobody` the right program with the right placeholder.
#[test]
fn another_user_with_the_right_placeholder_is_refused() {
    let (world, agent) = proxied("");
    let (id, secret) = placeholder(&world);
    let url = format!("http://127.0.0.1:{}/", port(&agent));
    let curl = |user: &[&str]| {
        let mut command = Command::new(user.first().unwrap_or(&"curl"));
        if let Some((_, rest)) = user.split_first() {
            command.args(rest).arg("curl");
        }
        command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--user"]);
        command.arg(format!("{id}:{secret}")).args(["--aws-sigv4", "aws:amz:us-east-1:s3"]);
        command.args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", &url]);
        let output = command.output().expect("this test runs curl as another user: run it as root");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(curl(&[]), "200");
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    assert_eq!(curl(&nobody), "403");
}

#[test]
fn http_2_without_tls_is_spoken_too() {
    let (world, agent) = proxied("");
    let (id, secret) = placeholder(&world);
    let url = format!("http://127.0.0.1:{}/", port(&agent));
    let output = Command::new("curl")
        .args(["-sS", "--http2-prior-knowledge", "-w", "%{http_code} %{http_version}"])
        .args(["--user", &format!("{id}:{secret}"), "--aws-sigv4", "aws:amz:us-east-1:s3"])
        .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", &url])
        .output()
        .expect("curl starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.ends_with("200 2") && told.contains("ListAllMyBucketsResult"), "{output:?}");
}

#[test]
fn what_is_no_request_of_an_sdk_is_refused_in_words() {
    let (_world, agent) = proxied("");
    let port = port(&agent);
    for (request, status, words) in [
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", "403", "not signed"),
        ("OPTIONS / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", "405", "method"),
        (
            "CONNECT s3.amazonaws.com:443 HTTP/1.1\r\nHost: s3.amazonaws.com:443\r\n\r\n",
            "405",
            "method",
        ),
        (
            "GET http://169.254.169.254/ HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n",
            "403",
            "not signed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            "400",
            "",
        ),
        ("nonsense\r\n\r\n", "400", ""),
    ] {
        let answer = send(port, request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains(words), "{request}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("access-control-"), "{answer}");
    }
}

/// What comes behind a request that is refused is not taken for the next one.
#[test]
fn no_second_request_is_smuggled_in() {
    let (_world, agent) = proxied("");
    let second = "GET /second HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let length = second.len();
    for head in [
        format!("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n{second}"),
        format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n\
             {length:x}\r\n{second}\r\n0\r\n\r\n"
        ),
    ] {
        let answer = send(port(&agent), head.as_bytes());
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

/// A large body waits until the server has accepted the head: it is refused before it is sent.
#[test]
fn a_large_body_is_not_sent_to_who_refuses_it() {
    let (world, _agent) = proxied("");
    let key = serde_json::json!({"op": "set-key-status", "access_key_id": world.id, "status": "Inactive"});
    world.control(key);
    let file = world.home.path().join("large");
    std::fs::write(&file, vec![b'x'; 64 << 20]).expect("writable");
    let url = "$AWS_ENDPOINT_URL/bucket/large";
    let line = format!(
        "exec curl -sS -w '%{{http_code}} %{{size_upload}}' -T {} -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
         -H 'Expect: 100-continue' --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" \
         --expect100-timeout 20 --aws-sigv4 aws:amz:us-east-1:s3 {url}",
        file.display()
    );
    let since = Instant::now();
    let output = exec(&world, &["sh", "-c", &line]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("InvalidAccessKeyId") && told.ends_with("403 0"), "{output:?}");
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}
