//! Bodies that are not what was signed, or not all of it, or more.

use aws_sigv4::http_request::SignableBody;

use crate::client::Client;
use crate::field::{Attack, Field, Reaches, and, attack, bytes, lines};
use crate::framed::{Mode, Signer, framed, seed};
use crate::upstream::REFUSED;

/// A stream of chunks: its head, and its body as it is right.
fn stream(field: &Field, mode: Mode, chunks: &[Vec<u8>]) -> (Vec<String>, Vec<u8>) {
    let length: usize = chunks.iter().map(Vec::len).sum();
    let length = length.to_string();
    let mut headers = vec![("x-amz-decoded-content-length", &*length)];
    if mode != Mode::Signed {
        headers.push(("x-amz-trailer", "x-amz-meta-b, X-Amz-Checksum-CRC32"));
    }
    let client = field.client();
    let payload = SignableBody::Precomputed(mode.text().to_owned());
    let head = client.sign(field.request("PUT", "/b/k", &headers), payload);
    let mut signer =
        Signer { id: client.id, secret: client.secret, at: client.at, last: seed(&head) };
    (lines(&head), framed(mode, chunks, "\r\n", &mut signer))
}

/// The place of a text in a body, and where it ends.
fn find(body: &[u8], text: &str) -> usize {
    let found = body.windows(text.len()).position(|part| part == text.as_bytes());
    found.unwrap_or_else(|| panic!("{text}")) + text.len()
}

fn flipped(body: &[u8], at: usize) -> Vec<u8> {
    let mut body = body.to_vec();
    body[at] = if body[at] == b'0' { b'1' } else { b'0' };
    body
}

/// What can be done to a body in chunks. `name` says how long they are.
fn tampered(field: &Field, mode: Mode, name: &str, chunks: &[Vec<u8>]) -> Vec<Attack> {
    let (head, body) = stream(field, mode, chunks);
    let mut attacks = Vec::new();
    let mut add = |what: &str, body: Vec<u8>, status: &'static [u16], code, why| {
        let name = format!("{mode:?}, {name}: {what}");
        let attack = attack(name, bytes(&head, &body), status, code, why);
        attacks.push(attack.reaching(Reaches::APart));
    };
    let first = find(&body, "\r\n");
    if mode != Mode::Unsigned {
        let (status, code): (&[u16], _) = (&[403], "SignatureDoesNotMatch");
        add("the first byte", flipped(&body, first), status, code, "ChunkSignature");
        let at = find(&body, "chunk-signature=");
        add("a chunk's signature", flipped(&body, at), status, code, "ChunkSignature");
        let last = find(&body, "\r\n0;chunk-signature=");
        add("the last chunk's signature", flipped(&body, last), status, code, "ChunkSignature");
    }
    if mode == Mode::SignedTrailer {
        let (status, code): (&[u16], _) = (&[403], "SignatureDoesNotMatch");
        let at = find(&body, "x-amz-meta-b:");
        add("a trailer's value", flipped(&body, at), status, code, "TrailerSignature");
        let at = find(&body, "x-amz-trailer-signature:");
        add("the trailer's signature", flipped(&body, at), status, code, "TrailerSignature");
    }
    if mode != Mode::Signed {
        let (status, code): (&[u16], _) = (&[400], "MalformedTrailerError");
        let at = find(&body, "x-amz-meta-b");
        add("another trailer", flipped(&body, at - 1), status, code, "BadTrailer");
        let more = body.len() - 2;
        let body = [&body[..more], b"x-amz-acl:public-read\r\n\r\n"].concat();
        add("one more trailer", body, status, code, "BadTrailer");
    }
    let odd = [b"g", &body[1..]].concat();
    add("no size", odd, &[400], "InvalidRequest", "BadChunk");
    let at = find(&body, "\r\n") + chunks[0].len();
    add("no end of a chunk", flipped(&body, at), &[400], "InvalidRequest", "BadChunk");
    let smuggled = b"PUT /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n";
    let more = [&body[..], smuggled].concat();
    add("a request behind the end", more, &[400], "", "BadTrailer");
    let twice = [&body[..], &body[..]].concat();
    add("all of it twice", twice, &[400], "", "BadTrailer");
    // It ends early, in order as far as HTTP goes.
    let last = find(&body, "\r\n0") - 1;
    let cut = body[..last].to_vec();
    add("no last chunk", cut, &[400], "IncompleteBody", "WrongLength");
    attacks
}

fn modes() -> [Mode; 3] {
    [Mode::Unsigned, Mode::Signed, Mode::SignedTrailer]
}

#[test]
fn a_stream_of_chunks_that_was_changed_is_never_completed() {
    let field = Field::new("-v");
    let short = [b"hello, ".to_vec(), vec![b'w'; 500]];
    let long: Vec<Vec<u8>> = (0..24).map(|at| vec![b'a' + at; 64 << 10]).collect();
    let mut attacks = Vec::new();
    for mode in modes() {
        attacks.extend(tampered(&field, mode, "short", &short));
        attacks.extend(tampered(&field, mode, "long", &long));
        // Right, it arrives: the attacks are refused for what they are.
        let (head, body) = stream(&field, mode, &short);
        let right = attack("right", bytes(&head, &body), &[200], "", "");
        attacks.push(right.reaching(Reaches::One));
    }
    let (head, body) = stream(&field, Mode::Signed, &short);
    let mut swapped = body.clone();
    let (from, to) = (find(&body, "hello"), find(&body, "wwwww"));
    swapped.swap(from - 1, to - 1);
    let swapped =
        attack("two bytes changed places", bytes(&head, &swapped), &[403], "", "ChunkSignature");
    attacks.push(swapped.reaching(Reaches::APart));
    for (name, line, status, code, why) in [
        (
            "a chunk of 16 MiB and one byte",
            "1000001",
            &[413][..],
            "EntityTooLarge",
            "ChunkTooLarge",
        ),
        ("a chunk without end", "ffffffffffffffffff", &[400], "", "BadChunk"),
        ("a negative chunk", "-1", &[400], "", "BadChunk"),
        ("more than was announced", "10000", &[400], "IncompleteBody", "WrongLength"),
    ] {
        let signature = "0".repeat(64);
        let body = format!("{line};chunk-signature={signature}\r\nabc");
        // So much is announced that size is not what is wrong.
        let length = if why == "ChunkTooLarge" { 1 << 30 } else { 10 };
        let length = length.to_string();
        let client = field.client();
        let payload = SignableBody::Precomputed(Mode::Signed.text().to_owned());
        let headers = [("x-amz-decoded-content-length", &*length)];
        let head = lines(&client.sign(field.request("PUT", "/b/k", &headers), payload));
        let attack = attack(name, bytes(&head, body.as_bytes()), status, code, why);
        attacks.push(attack.reaching(Reaches::APart));
    }
    let line = format!("3;{}=1\r\nabc\r\n", "x".repeat(10_000));
    let (head, _) = stream(&field, Mode::Unsigned, &short);
    let line = attack("a long line", bytes(&head, line.as_bytes()), &[400], "", "BadChunk");
    attacks.push(line.reaching(Reaches::APart));
    let (head, body) = stream(&field, Mode::Unsigned, &short);
    // Right, but for its length.
    let at = find(&body, "x-amz-meta-b:");
    let body = [&body[..at], &vec![b'x'; 40_000][..], &body[at + 4..]].concat();
    let trailer = attack("a long trailer", bytes(&head, &body), &[400], "", "BadTrailer");
    attacks.push(trailer.reaching(Reaches::APart));
    let attacks = field.go(attacks);
    field.end(&attacks);
}

/// A head for a body that is signed by its hash, or by nothing.
fn head(field: &Field, path: &str, body: SignableBody<'_>) -> Vec<String> {
    lines(&field.client().sign(field.request("PUT", path, &[]), body))
}

fn dynamodb(field: &Field, body: &[u8]) -> Vec<String> {
    let client = Client { service: "dynamodb", ..field.client() };
    let headers = [("x-amz-target", "DynamoDB_20120810.PutItem")];
    lines(&client.sign(field.request("POST", "/", &headers), SignableBody::Bytes(body)))
}

#[test]
fn a_body_that_is_not_the_one_that_was_signed_is_never_completed() {
    let field = Field::new("-v");
    let large = vec![b'x'; 3 << 20];
    let mut other = large.clone();
    other[1 << 20] = b'y';
    let wrong: (&'static [u16], _, _) = (&[400], "XAmzContentSHA256Mismatch", "WrongHash");
    let mut attacks = Vec::new();
    for (name, signed, sent) in [
        ("a short body", &b"abc"[..], &b"abd"[..]),
        ("nothing", b"abc", b""),
        ("something", b"", b"abc"),
        ("a long body", &large, &other),
    ] {
        let bytes = bytes(&head(&field, "/b/k", SignableBody::Bytes(signed)), sent);
        attacks.push(attack(name, bytes, wrong.0, wrong.1, wrong.2).reaching(Reaches::APart));
    }
    let implicit = bytes(&dynamodb(&field, b"{\"a\":1}"), b"{\"a\":2}");
    let (status, code) = (&[403], "InvalidSignatureException");
    attacks.push(attack("an implicit hash", implicit, status, code, "WrongSignature"));
    let announced = and(dynamodb(&field, b"{}"), &["content-length: 68157440"]);
    let announced = bytes(&announced, b"{}");
    attacks.push(attack("65 MiB to be hashed", announced, &[413], "", "TooLarge"));
    let mut streamed = bytes(&and(dynamodb(&field, b"{}"), &["transfer-encoding: chunked"]), b"");
    let piece = [b"100000\r\n", &vec![b'x'; 1 << 20][..], b"\r\n"].concat();
    (0..65).for_each(|_| streamed.extend_from_slice(&piece));
    attacks.push(attack("65 MiB in chunks to be hashed", streamed, &[413], "", "TooLarge"));
    // They end before they are over.
    let unsigned = || head(&field, "/b/k", SignableBody::UnsignedPayload);
    let chunked =
        |text: &str| bytes(&and(unsigned(), &["transfer-encoding: chunked"]), text.as_bytes());
    let short =
        |length: usize| bytes(&and(unsigned(), &[&format!("content-length: {length}")]), b"abc");
    for (name, bytes) in [
        ("a short body that is cut", short(4)),
        ("a long body that is cut", short(4 << 20)),
        ("chunks that are cut", chunked("3\r\nabc\r\n")),
        ("a chunk that is cut", chunked("4\r\nabc")),
    ] {
        let cut = attack(name, bytes, &[400], "IncompleteBody", "WrongLength");
        attacks.push(cut.half_closed().reaching(Reaches::APart));
    }
    for (name, text) in [
        ("a chunk of no size", "\r\nabc\r\n0\r\n\r\n"),
        ("a chunk of an odd size", "3x\r\nabc\r\n0\r\n\r\n"),
        ("a chunk with more", "3\r\nabcd\r\n0\r\n\r\n"),
        ("a chunk that is too large", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("a chunk with LF", "3\nabc\n0\n\n"),
    ] {
        let odd = attack(name, chunked(text), &[400], "IncompleteBody", "WrongLength");
        attacks.push(odd.reaching(Reaches::APart));
    }
    let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(40_000));
    let long = attack("a long extension", chunked(&long), &[400], "", "WrongLength");
    attacks.push(long.reaching(Reaches::APart));
    let trailer = attack(
        "a trailer of HTTP",
        chunked("3\r\nabc\r\n0\r\nx-amz-acl: public-read\r\n\r\n"),
        &[400],
        "MalformedTrailerError",
        "BadTrailer",
    );
    attacks.push(trailer.reaching(Reaches::APart));
    let attacks = field.go(attacks);
    field.end(&attacks);
}

/// An extension of a chunk says nothing to anybody: it stays here.
#[test]
fn what_is_of_one_connection_alone_stays_here() {
    let field = Field::new("-v");
    let lines = head(&field, "/b/k", SignableBody::UnsignedPayload);
    let more = [
        "transfer-encoding: chunked",
        "upgrade: h2c",
        "keep-alive: 5",
        "te: trailers",
        "proxy-authorization: Basic eDp5",
        "x-forwarded-for: 1.2.3.4",
        "forwarded: for=1.2.3.4",
    ];
    let bytes = bytes(&and(lines, &more), b"3;a=\"b\";chunk-signature=1\r\nabc\r\n0\r\n\r\n");
    let right = attack("an extension", bytes, &[200], "ok", "").reaching(Reaches::One);
    let attacks = field.go(vec![right]);
    let seen = field.upstream.seen().into_iter().find(|seen| seen.path() == "/b/k").unwrap();
    assert_eq!((seen.body.as_slice(), seen.whole), (&b"abc"[..], true));
    for name in ["upgrade", "keep-alive", "\r\nte:", "proxy-auth", "forwarded", &field.own.id] {
        assert!(!seen.head.contains(name), "{name}: {}", seen.head);
    }
    field.end(&attacks);
}

/// What stands where another request could be seen: it is one only if it is signed itself.
#[test]
fn no_request_is_smuggled_in_behind_another() {
    let field = Field::new("-v");
    let hidden = "PUT /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let open = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| line != "connection: close").collect()
    };
    let put = || open(field.put(&[]));
    let unsigned = |path: &str| open(head(&field, path, SignableBody::UnsignedPayload));
    // Even one that is right may not be taken out of another's body.
    let right = {
        let request = field.request("PUT", "/smuggled", &[]);
        bytes(&lines(&field.client().sign(request, SignableBody::Bytes(b""))), b"")
    };
    let right = String::from_utf8(right).unwrap();
    let behind = |lines: &[String], body: &str, hidden: &str| {
        [bytes(lines, body.as_bytes()), hidden.as_bytes().to_vec()].concat()
    };
    let (head_of_chunks, chunks) = stream(&field, Mode::SignedTrailer, &[b"hello".to_vec()]);
    let chunks = String::from_utf8(chunks).unwrap();
    let refused = |lines: &[String], body: &str| bytes(lines, body.as_bytes());
    let (length, length_of_right) = (hidden.len(), right.len());
    let framed = format!("{length_of_right:x}\r\n{right}\r\n0\r\n\r\n");
    let mut attacks = vec![
        attack(
            "behind one that is right",
            behind(&put(), "abc", hidden),
            &[200, 403],
            "AccessDenied",
            "Unsigned",
        )
        .reaching(Reaches::One),
        attack(
            "behind the last chunk",
            behind(&open(head_of_chunks), &chunks, hidden),
            &[200, 403],
            "AccessDenied",
            "Unsigned",
        )
        .reaching(Reaches::One),
        attack(
            "a length and chunks",
            behind(
                &and(
                    unsigned("/b/k"),
                    &[&format!("content-length: {}", 5 + length), "transfer-encoding: chunked"],
                ),
                "0\r\n\r\n",
                hidden,
            ),
            // RFC 9112, 6.1: the chunks count, and the connection ends with the answer.
            &[200],
            "connection: close",
            "",
        )
        .reaching(Reaches::One),
        attack(
            "chunks and a length",
            behind(
                &and(unsigned("/b/k"), &["transfer-encoding: chunked", "content-length: 5"]),
                "0\r\n\r\n",
                hidden,
            ),
            // RFC 9112, 6.1: the chunks count, and the connection ends with the answer.
            &[200],
            "connection: close",
            "",
        )
        .reaching(Reaches::One),
        attack(
            "in a body that is refused",
            refused(&and(unsigned("/b/k"), &["origin: null"]), &right),
            &[403],
            "AccessDenied",
            "Browser",
        ),
        attack(
            "in chunks that are refused",
            refused(
                &and(unsigned("/b/k"), &["transfer-encoding: chunked", "origin: null"]),
                &framed,
            ),
            &[403],
            "AccessDenied",
            "Browser",
        ),
    ];
    // The upstream answers, and closes, before it has read the body.
    let mut early = right.clone().into_bytes();
    early.resize(2 << 20, b'x');
    let lines = unsigned(&format!("{REFUSED}/k"));
    let early_answer = |name: &str, lines: &[String], body: &[u8]| {
        let bytes = bytes(lines, body);
        attack(name, bytes, &[403], "AccessDenied", "").reaching(Reaches::APart)
    };
    attacks.push(early_answer("behind an early answer", &lines, &early));
    let chunked = and(lines.clone(), &["transfer-encoding: chunked"]);
    attacks.push(early_answer("in chunks, behind an early answer", &chunked, framed.as_bytes()));
    let attacks = field.go(attacks);
    assert!(field.upstream.seen().iter().all(|seen| seen.path() != "/smuggled"));
    field.end(&attacks);
}
