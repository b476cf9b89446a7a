//! Requests that must not be answered, and bytes that are none.

use std::io::Write;
use std::net::Shutdown;

use super::siege::{Siege, connect, read_to_end, refused, request, statuses};
use super::support::agent::ANYWHERE;
use super::support::{World, eventually};

/// Bytes that are sent, the answers to them, and how each refusal is logged.
struct Attack {
    name: &'static str,
    bytes: Vec<u8>,
    statuses: &'static [u16],
    why: &'static [&'static str],
}

fn attack(
    name: &'static str,
    bytes: impl Into<Vec<u8>>,
    statuses: &'static [u16],
    why: &'static [&'static str],
) -> Attack {
    Attack { name, bytes: bytes.into(), statuses, why }
}

/// All of these have the right token, but for one thing: where it came from.
fn strangers(siege: &Siege) -> Vec<Attack> {
    let header = |line: &str| siege.with_token(&format!("{line}\r\n"));
    let host = |host: &str| siege.with_token("").replace("Host: 127.0.0.1\r\n", host);
    let mut attacks = vec![
        attack("rebound", host("Host: attacker.test:80\r\n"), &[403], &["Host"]),
        attack("a link-local host", host("Host: 169.254.169.254\r\n"), &[403], &["Host"]),
        attack("no host", host(""), &[403], &["Host"]),
        attack("two hosts", header("Host: 127.0.0.1"), &[403], &["Host"]),
    ];
    for line in [
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=1.2.3.4",
        "Via: 1.1 p",
        "X-Forwarded-Host: localhost",
    ] {
        attacks.push(attack("a proxy", header(line), &[403], &["Forwarded"]));
    }
    for line in [
        "Origin: http://127.0.0.1",
        "Origin: null",
        "Referer: http://attacker.test/",
        "Sec-Fetch-Site: none",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/130",
    ] {
        attacks.push(attack("a browser", header(line), &[403], &["Browser"]));
    }
    attacks
}

/// No token that is good here and now. `over` was one of IMDS, `revoked` of the container endpoint.
fn tokens(siege: &Siege, over: &str, revoked: &str) -> Vec<Attack> {
    let container =
        |token: &str| request("GET", "/credentials/app", &format!("Authorization: {token}\r\n"));
    let right = &siege.token;
    let nearly = format!("{}{}", &right[..63], if right.ends_with('0') { '1' } else { '0' });
    let twice = format!("{right}\r\nAuthorization: {right}");
    let mut attacks = vec![
        attack("no token", request("GET", "/credentials/app", ""), &[401], &["Token"]),
        attack("no such profile", request("GET", "/credentials/ap", ""), &[401], &["Token"]),
    ];
    for wrong in [
        &siege.other_token,
        revoked,
        &nearly,
        &right[..63],
        &format!("{right}0"),
        &format!("Bearer {right}"),
        &twice,
        "",
    ] {
        attacks.push(attack("a wrong token", container(wrong), &[401], &["Token"]));
    }
    let imds = |token: &str| {
        let target = "/latest/meta-data/iam/security-credentials/app";
        request("GET", target, &format!("X-aws-ec2-metadata-token: {token}\r\n"))
    };
    for wrong in [over, right, "", "0"] {
        attacks.push(attack("a wrong token of IMDS", imds(wrong), &[401], &["ImdsToken"]));
    }
    let none = request("GET", "/latest/meta-data/iam/security-credentials/app", "");
    attacks.push(attack("IMDSv1", none, &[401], &["ImdsToken"]));
    attacks
}

/// What stands where nothing else may stand, with the right token hidden in it.
fn smuggled(siege: &Siege) -> Vec<Attack> {
    let hidden = siege.with_token("");
    let length = hidden.len();
    let outer = |headers: &str, body: &str| {
        let head = request("GET", "/", headers).replace("Connection: close\r\n", "");
        format!("{head}{body}{hidden}")
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    let both = format!("Content-Length: {length}\r\n{chunked}");
    let end = "0\r\n\r\n";
    let sized = format!("{length:x}\r\n");
    let expected = format!("Expect: 100-continue\r\nContent-Length: {length}\r\n");
    vec![
        attack(
            "a length",
            outer(&format!("Content-Length: {length}\r\n"), ""),
            &[400],
            &["Malformed"],
        ),
        attack(
            "two lengths",
            outer(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), ""),
            &[400],
            &["Malformed"],
        ),
        attack("a length and chunks", outer(&both, end), &[400], &["Malformed"]),
        attack(
            "chunks and a length",
            outer(&format!("{chunked}Content-Length: 5\r\n"), end),
            &[400],
            &["Malformed"],
        ),
        attack("chunks", outer(chunked, &sized), &[400], &["Malformed"]),
        attack("odd chunks", outer("Transfer-Encoding: xchunked\r\n", end), &[400], &["Malformed"]),
        attack("no number", outer("Content-Length: 0x5\r\n", ""), &[400], &["Malformed"]),
        attack("a signed number", outer("Content-Length: +5\r\n", ""), &[400], &["Malformed"]),
        attack("waiting for 100", outer(&expected, ""), &[400], &["Malformed"]),
        attack(
            "POST",
            outer(&format!("Content-Length: {length}\r\n"), "").replacen("GET", "POST", 1),
            &[405],
            &["Method"],
        ),
    ]
}

/// No HTTP, or not ours.
fn garbage(siege: &Siege) -> Vec<Attack> {
    let long = siege.with_token(&format!("X: {}\r\n", "x".repeat(20_000)));
    let many = siege.with_token(&"X: x\r\n".repeat(500));
    let target = request("GET", &format!("/{}", "x".repeat(70_000)), "");
    let piped = format!(
        "{}\u{0}\u{1}\r\n\r\n",
        request("GET", "/", "").replace("Connection: close\r\n", "")
    );
    let folded = siege.with_token("X: a\r\n b\r\n");
    let mut attacks = vec![
        attack("a long header", long, &[431], &["Malformed"]),
        attack("many headers", many, &[431], &["Malformed"]),
        attack("pipelined garbage", piped, &[404, 400], &["NotFound", "Malformed"]),
        attack("a folded header", folded, &[400], &["Malformed"]),
        attack(
            "HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            &[],
            &["Malformed"],
        ),
        attack(
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a hello\r\n\r\n".to_vec(),
            &[400],
            &["Malformed"],
        ),
        attack("SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", &[400], &["Malformed"]),
        attack("zeros", vec![0; 4096], &[400], &["Malformed"]),
        attack(
            "a request as a target",
            request(
                "GET",
                "http://127.0.0.1/credentials/app",
                &format!("Authorization: {}\r\n", siege.token),
            ),
            &[400],
            &["Malformed"],
        ),
        attack(
            "a query",
            request("GET", "/credentials/app?x", &format!("Authorization: {}\r\n", siege.token)),
            &[400],
            &["Malformed"],
        ),
        attack("a long target", target, &[431], &["Malformed"]),
    ];
    for target in [
        "/credentials/../credentials/app",
        "//credentials/app",
        "/credentials/%61pp",
        "/credentials/app/",
    ] {
        let headers = format!("Authorization: {}\r\n", siege.token);
        let bytes = request("GET", target, &headers);
        let (statuses, why): (&[u16], &[&str]) =
            if target.starts_with("//") { (&[404], &["NotFound"]) } else { (&[401], &["Token"]) };
        attacks.push(attack("another path", bytes, statuses, why));
    }
    for method in ["HEAD", "POST", "OPTIONS", "DELETE", "TRACE", "PATCH", "BREW"] {
        let bytes = siege.with_token("").replacen("GET", method, 1);
        attacks.push(attack("another method", bytes, &[405], &["Method"]));
    }
    attacks
}

/// Goes through all of it. What the agent said, and how often it should have refused for each reason.
fn besiege(talk: &str) -> (String, std::collections::BTreeMap<&'static str, usize>) {
    let mut siege = Siege::new(talk);
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 1\r\n";
    let over = siege.agent.http("PUT", "/latest/api/token", ttl);
    assert_eq!(over.status, 200);
    let over = String::from_utf8(over.body).unwrap();
    siege.keep_secret("a token of IMDS", &over);
    let revoked = siege.token.clone();
    siege.world.expect(0, &["revoke", "app"]);
    siege.token = std::fs::read_to_string(siege.world.state().join("token")).unwrap();
    siege.keep_secret("the new token", &siege.token.clone());
    eventually("the token of IMDS is over", || {
        let headers = format!("X-aws-ec2-metadata-token: {over}\r\n");
        let target = "/latest/meta-data/iam/security-credentials/app";
        siege.agent.http("GET", target, &headers).status == 401
    });

    let mut attacks = strangers(&siege);
    attacks.extend(tokens(&siege, &over, &revoked));
    attacks.extend(smuggled(&siege));
    attacks.extend(garbage(&siege));
    let mut expected = std::collections::BTreeMap::new();
    for Attack { name, bytes, statuses: wanted, why } in &attacks {
        let answer = siege.send(bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]);
        let said = String::from_utf8_lossy(&answer);
        assert_eq!(statuses(&answer), *wanted, "{name}: {shown:?}: {said}");
        assert_eq!(siege.secret_in(&answer), None, "{name}: {shown:?}");
        for why in *why {
            *expected.entry(*why).or_default() += 1;
        }
        // The next one is not worse off.
        let owner = siege.send(siege.with_token("").as_bytes());
        assert_eq!(statuses(&owner), [200], "after {name}");
    }
    half_open(&siege);
    println!("{} attacks", attacks.len());
    (siege.end(), expected)
}

/// Connections whose other half is closed, before, in and after a request.
fn half_open(siege: &Siege) {
    let whole = siege.with_token("");
    for sent in ["", "GET /cred", &whole[..whole.len() - 1], &whole] {
        let mut stream = connect(siege.at);
        stream.write_all(sent.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = read_to_end(&mut stream);
        assert!(sent.len() == whole.len() || siege.secret_in(&answer).is_none(), "{sent}");
    }
}

#[test]
fn what_is_not_asked_as_it_must_be_is_refused_and_logged() {
    let (said, expected) = besiege("-v");
    assert!(expected.len() >= 8, "{expected:?}");
    for (why, times) in expected {
        assert!(refused(&said, why) >= times, "{why}: {times} times");
    }
    // What is logged of strangers stays short.
    let longest = said.lines().max_by_key(|line| line.len()).unwrap();
    assert!(longest.len() < 500, "{longest}");
}

#[test]
fn not_even_at_trace_is_a_secret_logged() {
    let (said, _) = besiege("-vvv");
    assert!(said.contains("TRACE"), "it logs at trace");
}

#[test]
fn a_request_whose_sender_shows_another_profiles_token_may_use_it_there() {
    let siege = Siege::new("-v");
    let ask = |profile: &str, token: &str| {
        let headers = format!("Authorization: {token}\r\n");
        let bytes = request("GET", &format!("/credentials/{profile}"), &headers);
        statuses(&siege.send(bytes.as_bytes()))
    };
    let (app, other) = (&siege.token, &siege.other_token);
    assert_ne!(app, other);
    assert_eq!([ask("app", app), ask("other", other)], [[200], [200]]);
    assert_eq!([ask("app", other), ask("other", app)], [[401], [401]]);
    siege.end();
}

/// Which program asks is looked up last: a stranger neither makes the agent go through `/proc`, nor learns what is served.
#[test]
fn a_list_of_programs_is_nothing_to_a_stranger() {
    let world = World::added();
    world.configure_agent(ANYWHERE, "imds = true\nexecutables = [\"/usr/bin/false\"]\n");
    let agent = world.agent();
    let code = |headers: &str| {
        let answer = agent.http("GET", "/credentials/app", headers);
        (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
    };
    let token = std::fs::read_to_string(world.state().join("token")).unwrap();
    let token = format!("Authorization: {token}\r\n");
    assert_eq!(code(""), (401, "Unauthorized".to_owned()));
    assert_eq!(code(&format!("{token}Origin: null\r\n")), (403, "Browser".to_owned()));
    assert_eq!(code(&token), (403, "ForeignProgram".to_owned()));
    assert_eq!(agent.imds("app").status, 403);
}
