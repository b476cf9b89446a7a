//! Who may not connect, and to what nobody may.

use std::process::Command;

use serde_json::json;

use super::world::{CONNECT, PROXY, connect, connected, env, port, send};
use crate::support::World;

#[test]
fn hosts_that_are_not_awss_are_not_connected_to() {
    let (world, agent) = connected("");
    let port = port(&agent);
    let events = || world.control(json!({"op": "log"}))["events"].as_array().unwrap().len();
    let before = events();
    for (target, why) in [
        ("example.com:443", "not a service of AWS"),
        ("amazonaws.com.evil.example:443", "not a service of AWS"),
        ("evilamazonaws.com:443", "not a service of AWS"),
        ("ec2-1-2-3-4.eu-west-1.compute.amazonaws.com:443", "not a service of AWS"),
        ("lb.eu-west-1.elb.amazonaws.com:443", "not a service of AWS"),
        ("site.s3-website.eu-central-1.amazonaws.com:443", "not a service of AWS"),
        ("x.execute-api.eu-west-1.amazonaws.com:443", "not a service of AWS"),
        ("x.lambda-url.eu-west-1.on.aws:443", "not a service of AWS"),
        ("s3.amazonaws.com:22", "only port 443"),
        ("s3.amazonaws.com:80", "only port 443"),
        ("s3.amazonaws.com.:443", "only port 443"),
        ("127.0.0.1:443", "only port 443"),
        ("[::1]:443", "only port 443"),
        ("169.254.169.254:443", "only port 443"),
        ("169.254.169.254:80", "only port 443"),
        ("2852039166:443", "only port 443"),
        ("0xa9.0xfe.0xa9.0xfe:443", "only port 443"),
        ("localhost:443", "only port 443"),
        ("s3.amazonaws.com@evil.example:443", "only port 443"),
        ("evil.example:443@s3.amazonaws.com:443", "only port 443"),
    ] {
        for head in [
            format!("CONNECT {target} HTTP/1.1\r\nHost: s3.amazonaws.com:443\r\n\r\n"),
            format!("CONNECT {target} HTTP/1.0\r\n\r\n"),
        ] {
            let answer = send(port, head.as_bytes());
            let first = answer.lines().next().unwrap_or_default();
            assert!(first.contains(" 403 ") && first.contains(why), "{target}: {answer}");
            assert_eq!(answer.matches("HTTP/1.").count(), 1, "{answer}");
        }
    }
    for bad in ["", "/", "s3.amazonaws.com", "https://s3.amazonaws.com:443/", "a b:443", "*"] {
        let answer = send(port, format!("CONNECT {bad} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert!(!answer.contains(" 200 "), "{bad}: {answer}");
    }
    let with_body =
        "CONNECT s3.amazonaws.com:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert!(send(port, with_body.as_bytes()).contains(" 400 "));
    assert_eq!(events(), before, "nothing was sent on");
    // It is written down.
    let (_, said) = agent.stop();
    assert!(said.contains("CONNECT example.com:443"), "{said}");
}

/// boto3 says CONNECT as HTTP/1.0, without a `Host`. What follows is TLS, and nothing else.
#[test]
fn what_is_connected_to_a_service_is_tls() {
    let (_world, agent) = connected("");
    let port = port(&agent);
    for head in [
        "CONNECT s3.amazonaws.com:443 HTTP/1.0\r\n\r\n",
        "CONNECT S3.AmazonAWS.com:443 HTTP/1.1\r\nHost: s3.amazonaws.com:443\r\n\r\n",
    ] {
        let (answer, rest) =
            connect(port, head, b"GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 OK"), "{answer}");
        assert!(!answer.contains("content-length"), "{answer}");
        assert!(!rest.starts_with(b"HTTP/"), "{rest:?}");
    }
}

#[test]
fn nobody_connects_where_no_profile_says_so() {
    let world = World::added();
    world.configure_agent(PROXY, "");
    let agent = world.agent();
    let port = port(&agent);
    let answer = send(port, b"CONNECT s3.amazonaws.com:443 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.contains(" 405 ") && answer.contains("proxy_connect"), "{answer}");
    assert_eq!(send(port, b"\x16\x03\x01\x00\x05hello"), "");
    let plain = "GET http://s3.amazonaws.com/ HTTP/1.0\r\nHost: s3.amazonaws.com\r\n\r\n";
    assert!(send(port, plain.as_bytes()).contains(" 403 "));
    assert!(!world.home.path().join("state/ca-key").exists(), "nothing is made for nobody");
    // It is turned on, and off again, without a restart.
    for (profile, status) in [(CONNECT, " 200 "), ("", " 405 ")] {
        world.configure_agent(PROXY, profile);
        agent.signal("HUP");
        let is_on = !profile.is_empty();
        for _ in 0..200 {
            if agent.status()["proxy_authority"].is_string() == is_on {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let (answer, _) = connect(port, "CONNECT s3.amazonaws.com:443 HTTP/1.0\r\n\r\n", b"");
        assert!(answer.contains(status), "{answer}");
    }
}

/// Root runs the tests, and `nobody` the right program with the right placeholder.
#[test]
fn another_user_may_not_connect() {
    let (world, agent) = connected("");
    let variables = env(&world, "connect");
    let text = |name: &str| variables[name].as_str().expect("a text").to_owned();
    let user = format!("{}:{}", text("AWS_ACCESS_KEY_ID"), text("AWS_SECRET_ACCESS_KEY"));
    // Its folder is closed to others; the bundle is no secret.
    let bundle = tempfile::NamedTempFile::new().expect("a file");
    std::fs::copy(text("CURL_CA_BUNDLE"), bundle.path()).expect("readable");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(bundle.path(), mode).expect("ours");
    let curl = |who: &[&str]| {
        let mut command = Command::new(who.first().unwrap_or(&"curl"));
        if let Some((_, rest)) = who.split_first() {
            command.args(rest).arg("curl");
        }
        command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code} %{http_connect}"]);
        command.args(["-x", &format!("http://127.0.0.1:{}", port(&agent))]).arg("--cacert");
        command.arg(bundle.path()).args(["--user", &user, "--aws-sigv4", "aws:amz:us-east-1:s3"]);
        command.args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "https://s3.amazonaws.com/"]);
        let output = command.output().expect("this test runs curl as another user: run it as root");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(curl(&[]), "200 200");
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    assert_eq!(curl(&nobody), "000 403");
}
