//! Heads of requests in which one thing is wrong.

use aws_sigv4::http_request::SignableBody;
use jiff::{Timestamp, ToSpan};

use crate::client::Client;
use crate::field::{Attack, Field, Reaches, and, attack, bytes, lines};

const BODY: &[u8] = b"abc";

fn replaced(lines: Vec<String>, from: &str, to: &str) -> Vec<String> {
    lines.into_iter().map(|line| line.replacen(from, to, 1)).collect()
}

fn without(lines: Vec<String>, name: &str) -> Vec<String> {
    lines.into_iter().filter(|line| !line.starts_with(&format!("{name}:"))).collect()
}

/// Signatures that are not right.
fn signatures(field: &Field) -> Vec<Attack> {
    let by = |client: Client<'_>| {
        let request = field.request("PUT", "/b/k", &[]);
        bytes(&lines(&client.sign(request, SignableBody::Bytes(BODY))), BODY)
    };
    let put = || field.put(&[]);
    let world = &field.siege.world;
    let at = |seconds: i64| Client { at: Timestamp::now() + seconds.seconds(), ..field.client() };
    let last = if field.own.secret.ends_with('x') { 'y' } else { 'x' };
    let nearly = format!("{}{last}", &field.own.secret[..39]);
    let wrong: (&[u16], _, _) = (&[403], "SignatureDoesNotMatch", "WrongSignature");
    let unknown: (&[u16], _, _) = (&[403], "InvalidAccessKeyId", "UnknownKey");
    let late: (&[u16], _, _) = (&[403], "RequestTimeTooSkewed", "Skewed");
    let odd: (&[u16], _, _) = (&[400], "AuthorizationHeaderMalformed", "Malformed");
    let date = |lines: Vec<String>| lines.into_iter().find(|line| line.starts_with("x-amz-date"));
    let tampered_date = {
        let lines = put();
        let date = date(lines.clone()).unwrap();
        // The seconds: never the same again.
        let other =
            format!("{}{}Z", &date[..date.len() - 2], if date.ends_with("1Z") { 2 } else { 1 });
        replaced(lines, &date, &other)
    };
    let url = |at: Timestamp| {
        let client = Client { in_url: true, at, ..field.client() };
        let request = field.request("GET", "/b/k", &[]);
        lines(&client.sign(request, SignableBody::UnsignedPayload))
    };
    let cases: Vec<(&str, Vec<u8>, Wanted)> = vec![
        (
            "no signature",
            bytes(&without(put(), "authorization"), BODY),
            (&[403], "AccessDenied", "Unsigned"),
        ),
        ("a stranger's key", by(Client { id: "ROTAKEYAAAAAAAAAAAAA", ..field.client() }), unknown),
        (
            "a revoked placeholder",
            by(Client { id: &field.revoked.id, secret: &field.revoked.secret, ..field.client() }),
            unknown,
        ),
        (
            "the real key",
            by(Client { id: &world.id, secret: &world.secret, ..field.client() }),
            unknown,
        ),
        ("another's secret", by(Client { secret: &field.other.secret, ..field.client() }), wrong),
        ("nearly the secret", by(Client { secret: &nearly, ..field.client() }), wrong),
        ("signed six minutes ago", by(at(-360)), late),
        ("signed six minutes ahead", by(at(360)), late),
        ("signed a day ago", by(at(-86_400)), late),
        ("another date", bytes(&tampered_date, BODY), wrong),
        ("another path", bytes(&replaced(put(), "/b/k", "/b/l"), BODY), wrong),
        ("another query", bytes(&replaced(put(), "/b/k", "/b/k?acl"), BODY), wrong),
        ("another method", bytes(&replaced(put(), "PUT", "DELETE"), BODY), wrong),
        (
            "another service",
            bytes(&replaced(put(), "/s3/aws4_request", "/sqs/aws4_request"), BODY),
            (&[403], "", "WrongSignature"),
        ),
        ("another region", bytes(&replaced(put(), "/eu-west-1/", "/eu-west-2/"), BODY), wrong),
        (
            "SigV4A",
            bytes(&replaced(put(), "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), BODY),
            (&[501], "NotImplemented", "Asymmetric"),
        ),
        (
            "no parts",
            bytes(
                &and(without(put(), "authorization"), &["authorization: AWS4-HMAC-SHA256 x"]),
                BODY,
            ),
            odd,
        ),
        (
            "a digit too few",
            bytes(
                &put()
                    .into_iter()
                    .map(|line| match line.starts_with("authorization") {
                        true => line[..line.len() - 1].to_owned(),
                        false => line,
                    })
                    .collect::<Vec<_>>(),
                BODY,
            ),
            odd,
        ),
        (
            "a URL that has expired",
            bytes(&url(Timestamp::now() - 1200.seconds()), b""),
            (&[403], "AccessDenied", "Expired"),
        ),
        (
            "a URL with one more header",
            bytes(&and(url(Timestamp::now()), &["x-amz-acl: public-read"]), b""),
            (&[403], "AccessDenied", "HeaderNotSigned"),
        ),
        (
            "a URL for longer",
            bytes(&replaced(url(Timestamp::now()), "X-Amz-Expires=900", "X-Amz-Expires=901"), b""),
            wrong,
        ),
        (
            "signed twice",
            bytes(
                &and(
                    url(Timestamp::now()),
                    &[put().iter().find(|line| line.starts_with("authorization")).unwrap()],
                ),
                b"",
            ),
            (&[400], "AuthorizationHeaderMalformed", "SignedTwice"),
        ),
    ];
    let attacks = cases.into_iter();
    attacks
        .map(|(name, bytes, (status, code, why))| attack(name, bytes, status, code, why))
        .collect()
}

/// Headers that were added to what is right.
fn headers(field: &Field) -> Vec<Attack> {
    let add = |line: &str| bytes(&and(field.put(&[]), &[line]), BODY);
    let mut attacks = Vec::new();
    for line in [
        "x-amz-acl: public-read",
        "X-Amz-Meta-A: 1",
        "x-amz-copy-source: /secret/object",
        "x-amz-security-token: t",
        "x-amz-tagging: a=b",
    ] {
        attacks.push(attack(line, add(line), &[403], "AccessDenied", "HeaderNotSigned"));
    }
    for line in [
        "Origin: null",
        "Origin: http://127.0.0.1",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: no-cors",
        "Access-Control-Request-Method: PUT",
    ] {
        attacks.push(attack(line, add(line), &[403], "AccessDenied", "Browser"));
    }
    let twice = [
        "content-type: text/plain",
        "date: Wed, 25 Nov 2026 12:00:00 GMT",
        "expect: 100-continue",
        "x-amz-decoded-content-length: 3",
    ];
    for line in twice {
        let lines = and(field.put(&[]), &[line, line]);
        let bytes = bytes(&lines, BODY);
        attacks.push(attack(format!("twice {line}"), bytes, &[400], "", "Duplicate"));
    }
    for name in ["authorization", "host", "x-amz-content-sha256", "x-amz-date"] {
        let mut lines = field.put(&[]);
        let line = lines.iter().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        lines.push(line.clone());
        let bytes = bytes(&lines, BODY);
        attacks.push(attack(format!("twice {name}"), bytes, &[400], "", "Duplicate"));
    }
    let lengths = and(field.put(&[]), &["content-length: 3", "content-length: 4"]);
    attacks.push(attack("two lengths", bytes(&lengths, BODY), &[400], "", ""));
    // RFC 9110, 8.6: the same one twice may be taken for one.
    let same = and(field.put(&[]), &["content-length: 3", "content-length: 3"]);
    let same = attack("one length twice", bytes(&same, BODY), &[200], "", "");
    attacks.push(same.reaching(Reaches::One));
    let lines = and(field.put(&[("x-amz-meta-a", "1")]), &["x-amz-meta-a: 2"]);
    let doubled = bytes(&lines, BODY);
    attacks.push(attack("twice a header", doubled, &[403], "", "WrongSignature"));
    let named =
        ["connection: x-amz-meta-a", "connection: authorization", "connection: content-length"];
    for line in named {
        let lines = and(field.put(&[("x-amz-meta-a", "1")]), &[line]);
        attacks.push(attack(line, bytes(&lines, BODY), &[400], "InvalidRequest", "BadHead"));
    }
    for method in ["OPTIONS", "TRACE", "PROPFIND", "put"] {
        let lines = replaced(field.put(&[]), "PUT", method);
        let code = if method == "OPTIONS" { "MethodNotAllowed" } else { "" };
        attacks.push(attack(method, bytes(&lines, BODY), &[405], code, "Method"));
    }
    attacks
}

/// Where it should go, by whatever a request could say.
fn places(field: &Field) -> Vec<Attack> {
    let lure = field.lure.at.to_string();
    let with_host = |host: &str| {
        let request = crate::client::request("PUT", "/b/k", &[("host", host)]);
        bytes(&lines(&field.client().sign(request, SignableBody::Bytes(BODY))), BODY)
    };
    let mut attacks = Vec::new();
    for host in [
        "attacker.test",
        "attacker.test:80",
        "169.254.169.254",
        "s3.amazonaws.com",
        "127.0.0.1.attacker.test",
        "localhost.attacker.test",
        "127.0.0.1@attacker.test",
        "127.0.0.1:1:2",
        "0.0.0.0",
        "[::ffff:169.254.169.254]",
    ] {
        let name = format!("the host {host}");
        attacks.push(attack(name, with_host(host), &[403], "AccessDenied", "HostNotAllowed"));
    }
    let bare = without(field.put(&[]), "host");
    attacks.push(attack("no host", bytes(&bare, BODY), &[400], "", "BadHead"));
    let unsigned = replaced(field.put(&[]), "host;", "");
    attacks.push(attack("a host not signed", bytes(&unsigned, BODY), &[403], "", "HostNotSigned"));
    for target in [format!("http://{lure}/b/k"), "http://169.254.169.254/b/k".to_owned()] {
        let lines = replaced(field.put(&[]), "/b/k", &target);
        let attack =
            attack(format!("the target {target}"), bytes(&lines, BODY), &[400], "", "BadHead");
        attacks.push(attack);
    }
    // What is loopback may be named: it changes nothing.
    let request = crate::client::request("PUT", "/b/lured", &[("host", &lure)]);
    let named = lines(&field.client().sign(request, SignableBody::Bytes(BODY)));
    let absolute = replaced(named.clone(), "/b/lured", &format!("http://{lure}/b/lured"));
    for lines in [named, absolute] {
        let attack = attack("another port", bytes(&lines, BODY), &[200], "", "");
        attacks.push(attack.reaching(Reaches::One));
    }
    let colon = lure.replace(':', "%3A");
    for path in [format!("/_host/{colon}/k"), format!("//{colon}/k"), format!("/%40{colon}/k")] {
        let request = field.request("PUT", &path, &[]);
        let lines = lines(&field.client().sign(request, SignableBody::Bytes(BODY)));
        let attack = attack(format!("the path {path}"), bytes(&lines, BODY), &[200], "", "");
        attacks.push(attack.reaching(Reaches::One));
    }
    // To AWS itself: where that is, is never taken from a request.
    let aws = |service: &str, region: &str| {
        let client = Client {
            id: &field.other.id,
            secret: &field.other.secret,
            region,
            service,
            ..field.client()
        };
        let request = field.request("GET", "/", &[]);
        bytes(&lines(&client.sign(request, SignableBody::Bytes(b""))), b"")
    };
    for (service, region) in [
        ("s3", "attacker.test"),
        ("s3", "eu-west-1.attacker.test"),
        ("s3", "eu-west-1@attacker.test"),
        ("s3", "EU-WEST-1"),
        ("s3", "x"),
        ("s3", "127.0.0.1"),
        ("s3.attacker.test", "eu-west-1"),
        ("s3@attacker.test", "eu-west-1"),
        ("..", "eu-west-1"),
    ] {
        let name = format!("{service} in {region}");
        attacks.push(attack(name, aws(service, region), &[400], "", "BadScope"));
    }
    let unknown =
        attack("no region", aws("s3", "eu-west-99"), &[400], "InvalidRequest", "RegionUnknown");
    attacks.push(unknown);
    let form: &[u8] = b"Action=CreateAccessKey&Version=2010-05-08";
    let request = field.request(
        "POST",
        "/",
        &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
    );
    let client = Client { service: "iam", region: "us-east-1", ..field.client() };
    let lines = lines(&client.sign(request, SignableBody::Bytes(form)));
    let refused =
        attack("a new key", bytes(&lines, form), &[403], "AccessDenied", "OperationRefused");
    attacks.push(refused);
    attacks
}

/// Bytes that are nearly HTTP.
fn grammar(field: &Field) -> Vec<Attack> {
    let with = |line: &str| bytes(&and(field.put(&[]), &[line]), BODY);
    let long = "x".repeat(70_000);
    let many: Vec<String> = (0..200).map(|at| format!("a{at}: b")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let path = field.put(&[]);
    let mut attacks = vec![
        attack("a folded header", with("a: b\r\n c"), &[400], "", ""),
        attack(
            "a folded signed header",
            bytes(&replaced(field.put(&[("x-amz-meta-a", "1 2")]), "1 2", "1\r\n 2"), BODY),
            &[400],
            "",
            "",
        ),
        attack("NUL in a value", with("a: \0"), &[400], "", ""),
        attack("NUL in a name", with("a\0: b"), &[400], "", ""),
        attack(
            "NUL in the target",
            bytes(&replaced(path.clone(), "/b/k", "/b\0k"), BODY),
            &[400],
            "",
            "",
        ),
        attack("CR in a value", with("a: b\rc: d"), &[400], "", ""),
        attack("a space before the colon", with("a : b"), &[400], "", ""),
        attack("no name", with(": b"), &[400], "", ""),
        attack(
            "a space in the target",
            bytes(&replaced(path.clone(), "/b/k", "/b/k k"), BODY),
            &[400],
            "",
            "",
        ),
        attack(
            "HTTP/1.1 twice",
            bytes(&replaced(path.clone(), "HTTP/1.1", "HTTP/1.1 HTTP/1.1"), BODY),
            &[400],
            "",
            "",
        ),
        attack(
            "another version",
            bytes(&replaced(path.clone(), "HTTP/1.1", "HTTP/3.1"), BODY),
            &[400],
            "",
            "",
        ),
        // A line may end with LF alone; then it is a line, with all that this means.
        attack(
            "LF in a value",
            with("a: b\nx-amz-acl: public-read"),
            &[403],
            "AccessDenied",
            "HeaderNotSigned",
        ),
        attack("many headers", bytes(&and(field.put(&[]), &many), BODY), &[431], "", ""),
        attack("a long header", with(&format!("a: {long}")), &[431], "", ""),
        attack("a long name", with(&format!("{long}: a")), &[431], "", ""),
        attack(
            "a long target",
            bytes(&replaced(path, "/b/k", &format!("/b/{long}")), BODY),
            &[431],
            "",
            "",
        ),
        attack("zeros", vec![0; 4096], &[400], "", ""),
        attack("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), &[400], "", ""),
    ];
    for length in ["+3", "0x3", "3 3", "-1", "3,3", "99999999999999999999"] {
        let lines = and(field.put(&[]), &[&format!("content-length: {length}")]);
        attacks.push(attack(format!("the length {length}"), bytes(&lines, BODY), &[400], "", ""));
    }
    for coding in ["gzip, chunked", "chunked, chunked", "xchunked", "identity"] {
        let lines = and(field.put(&[]), &[&format!("transfer-encoding: {coding}")]);
        attacks.push(attack(format!("the coding {coding}"), bytes(&lines, BODY), &[400], "", ""));
    }
    attacks
}

/// The status, the code in the answer, and the reason that is counted.
type Wanted = (&'static [u16], &'static str, &'static str);

#[test]
fn a_head_in_which_one_thing_is_wrong_is_refused() {
    let field = Field::new("-v");
    let mut attacks = signatures(&field);
    attacks.extend(headers(&field));
    attacks.extend(places(&field));
    attacks.extend(grammar(&field));
    let attacks = field.go(attacks);
    assert_eq!(field.siege.world.keys().len(), 1, "no key was made");
    field.end(&attacks);
}
