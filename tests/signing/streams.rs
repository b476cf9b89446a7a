//! Bodies in chunks: whatever way they come in, they go out whole and signed anew, or never end.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use hyper::body::{Body, Frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rotakey_endpoint::proxy::payload::chunks::{Chunks, Framing, Resign, SIGNED_CHUNK_BYTES_MAX};
use rotakey_endpoint::proxy::payload::{BodyError, Outgoing, Verdict};
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::sign::Signed;
use rotakey_endpoint::proxy::verify::Verified;

use super::framed::{Mode, Signer, framed, seed};
use super::world::{Client, now, real, request, resigned, verified};

/// A body that comes in these pieces, and then perhaps trailers of HTTP.
pub struct Pieces(pub Vec<Bytes>, pub Option<HeaderMap>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.0.is_empty() {
            return Poll::Ready(self.1.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        Poll::Ready(Some(Ok(Frame::data(self.0.remove(0)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty() && self.1.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// Cuts a body at these places.
pub fn cut(body: &[u8], places: &[usize]) -> Pieces {
    let mut places: Vec<_> = places.iter().map(|at| at % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    let pieces = places.windows(2).map(|pair| Bytes::copy_from_slice(&body[pair[0]..pair[1]]));
    Pieces(pieces.collect(), None)
}

/// All that went out, and whether it ended.
pub fn sent(mut outgoing: Outgoing<Pieces>) -> (Vec<u8>, Result<(), Refusal>) {
    let verdict: Verdict = outgoing.verdict();
    let mut context = Context::from_waker(Waker::noop());
    let mut sent = Vec::new();
    let whole = outgoing.size_hint().exact().unwrap();
    loop {
        assert_eq!(outgoing.size_hint().exact(), Some(whole - sent.len() as u64));
        match pin!(&mut outgoing).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => sent.extend_from_slice(&frame.into_data().unwrap()),
            Poll::Ready(Some(Err(BodyError::Refused(why)))) => {
                assert!(!outgoing.is_end_stream());
                assert_eq!(verdict.refusal(), Some(why));
                return (sent, Err(why));
            }
            Poll::Ready(Some(Err(other))) => panic!("{other}"),
            Poll::Ready(None) => {
                assert!(outgoing.is_end_stream());
                assert_eq!(verdict.refusal(), None);
                return (sent, Ok(()));
            }
            Poll::Pending => panic!("everything is there"),
        }
    }
}

/// A stream as it comes in, and as it must go out.
struct Stream {
    head: Parts,
    verified: Verified,
    signed: Signed,
    body: Vec<u8>,
    right: Vec<u8>,
}

fn stream(mode: Mode, chunks: &[Vec<u8>], line_end: &str) -> Stream {
    let length: usize = chunks.iter().map(Vec::len).sum();
    let length = length.to_string();
    let mut headers =
        vec![("x-amz-decoded-content-length", &*length), ("content-encoding", "aws-chunked")];
    if mode != Mode::Signed {
        headers.push(("x-amz-trailer", "x-amz-meta-b, X-Amz-Checksum-CRC32"));
    }
    let payload = aws_sigv4::http_request::SignableBody::Precomputed(mode.text().to_owned());
    let head = Client::default().sign(request("PUT", "/b/k", &headers), payload);
    let verified = verified(&head, b"").unwrap();
    let signed = resigned(&head, &verified, &real());
    let mut by_client =
        Signer { id: super::world::ID, secret: super::world::SECRET, at: now(), last: seed(&head) };
    let body = framed(mode, chunks, line_end, &mut by_client);
    let real = real();
    let out = request(
        "PUT",
        "/",
        &[("authorization", signed.headers["authorization"].to_str().unwrap())],
    );
    let mut by_us = Signer {
        id: real.access_key_id.as_str(),
        secret: real.secret_access_key.expose(),
        at: now(),
        last: seed(&out.into_parts().0),
    };
    let right = framed(mode, chunks, line_end, &mut by_us);
    Stream { head, verified, signed, body, right }
}

impl Stream {
    fn verified_chunks(&self, mode: Mode) -> Option<Resign> {
        let verifier = self.verified.chunks().unwrap().clone();
        (mode != Mode::Unsigned)
            .then(|| Resign { verifier, signer: self.signed.chunks.clone().unwrap() })
    }

    fn outgoing(&self, body: Pieces) -> Result<Outgoing<Pieces>, Refusal> {
        Outgoing::new(body, &self.head.headers, &self.verified, self.signed.chunks.as_ref(), true)
    }

    fn sent(&self, body: &[u8], places: &[usize]) -> (Vec<u8>, Result<(), Refusal>) {
        match self.outgoing(cut(body, places)) {
            Ok(outgoing) => sent(outgoing),
            Err(why) => (Vec::new(), Err(why)),
        }
    }
}

const MODES: [Mode; 3] = [Mode::Unsigned, Mode::Signed, Mode::SignedTrailer];

#[test]
fn streams_go_out_signed_by_the_real_key_however_they_are_cut() {
    let chunks = [vec![b'a'; 70], b"\r\n0\r\n".to_vec(), vec![0; 9]];
    for mode in MODES {
        for line_end in ["\r\n", "\n"] {
            let stream = stream(mode, &chunks, line_end);
            assert_eq!(stream.body.len(), stream.right.len());
            assert_eq!(stream.body == stream.right, mode == Mode::Unsigned);
            // Whole, at every single place, and byte by byte.
            let every: Vec<usize> = (0..stream.body.len()).collect();
            assert_eq!(stream.sent(&stream.body, &every), (stream.right.clone(), Ok(())));
            for at in every {
                let (sent, ended) = stream.sent(&stream.body, &[at]);
                assert_eq!((sent == stream.right, ended), (true, Ok(())), "{mode:?} {at}");
            }
        }
        let empty = stream(mode, &[], "\r\n");
        assert_eq!(empty.sent(&empty.body, &[]), (empty.right.clone(), Ok(())));
    }
}

/// Whatever the change is, it is found before the body has ended.
#[test]
fn a_stream_in_which_any_bit_is_changed_never_ends() {
    let chunks = [vec![b'a'; 40], b"bcd".to_vec()];
    for mode in [Mode::Signed, Mode::SignedTrailer] {
        let stream = stream(mode, &chunks, "\r\n");
        for at in 0..stream.body.len() {
            for bit in [0, 5] {
                let mut body = stream.body.clone();
                body[at] ^= 1 << bit;
                let (sent, ended) = stream.sent(&body, &[at / 2, at]);
                assert!(ended.is_ok() || sent.len() <= stream.right.len() - 5);
                // The case of a header's name, or of a digit of a size, is no part of what is signed.
                let is_case = bit == 5 && body[at].eq_ignore_ascii_case(&stream.body[at]);
                assert!(is_case || ended.is_err(), "{mode:?}: byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_or_goes_on_never_ends() {
    for mode in MODES {
        let stream = stream(mode, &[vec![b'a'; 40]], "\r\n");
        for at in 0..stream.body.len() {
            let (sent, ended) = stream.sent(&stream.body[..at], &[at / 2]);
            assert!(ended.is_err(), "{mode:?}: cut off at {at}");
            assert!(sent.len() <= stream.right.len() - 5, "{mode:?}: cut off at {at}");
        }
        for more in ["\r\n", "0\r\n\r\n", "\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let body = [&stream.body, more.as_bytes()].concat();
            for place in [0, stream.body.len(), body.len() - 1] {
                let (sent, ended) = stream.sent(&body, &[place]);
                assert!(ended.is_err(), "{mode:?}: {more:?}");
                // Not one byte of the last line, which would complete it.
                assert!(sent.len() <= stream.right.len() - 5, "{mode:?}: {more:?}");
            }
        }
    }
}

/// What completes an object is not sent before all of it was seen: not even the line of the last chunk.
#[test]
fn nothing_of_the_end_goes_out_before_the_end_was_seen() {
    for mode in MODES {
        let stream = stream(mode, &[vec![b'a'; 40]], "\r\n");
        let data_end = stream.body.windows(3).rposition(|three| three == b"a\r\n").unwrap() + 1;
        // Everything came in but for the news that this was all.
        let framing = Framing {
            resign: stream.verified_chunks(mode),
            trailers: vec!["x-amz-meta-b".to_owned(), "x-amz-checksum-crc32".to_owned()],
            has_trailer: mode != Mode::Signed,
            data_length: None,
        };
        let mut chunks = Chunks::new(Framing {
            trailers: if mode == Mode::Signed { Vec::new() } else { framing.trailers },
            ..framing
        });
        chunks.push(Bytes::from(stream.body.clone())).unwrap();
        let mut sent = Vec::new();
        while let Some(piece) = chunks.pop() {
            sent.extend_from_slice(&piece);
        }
        assert_eq!(sent.len(), data_end, "{mode:?}");
        assert_eq!(chunks.pending_bytes(), (stream.body.len() - data_end) as u64);
        chunks.finish().unwrap();
        while let Some(piece) = chunks.pop() {
            sent.extend_from_slice(&piece);
        }
        assert!(sent == stream.right, "{mode:?}");
    }
}

#[test]
fn trailers_are_those_that_were_announced() {
    let plain = stream(Mode::Unsigned, &[b"abc".to_vec()], "\r\n");
    let body = |trailer: &str| format!("3\r\nabc\r\n0\r\n{trailer}\r\n").into_bytes();
    let (b, crc) = ("x-amz-meta-b:1\r\n", "x-amz-checksum-crc32:2\r\n");
    assert_eq!(plain.sent(&body(&format!("{crc}{b}")), &[]).1, Ok(()));
    for bad in [
        String::new(),
        crc.to_owned(),
        format!("{crc}{crc}"),
        format!("{crc}{b}{b}"),
        format!("{crc}{b}x-amz-acl:public-read\r\n"),
        format!("{crc}{b}\r\n"),
        format!("{crc}{b}x-amz-trailer-signature:{}\r\n", "0".repeat(64)),
        format!("{crc}x-amz-meta-b\r\n"),
        format!("{crc}x-amz-meta-b:\0\r\n"),
        format!("{crc}x-amz-meta-b:{}\r\n", "1".repeat(20_000)),
    ] {
        assert_eq!(plain.sent(&body(&bad), &[]).1, Err(Refusal::BadTrailer), "{bad:?}");
    }
    // Where there is none, none may be announced.
    let mut chunked = stream(Mode::Signed, &[b"abc".to_vec()], "\r\n");
    chunked.head.headers.insert("x-amz-trailer", "x-amz-checksum-crc32".parse().unwrap());
    let body = cut(&chunked.body, &[]);
    let refused = Outgoing::new(
        body,
        &chunked.head.headers,
        &chunked.verified,
        chunked.signed.chunks.as_ref(),
        true,
    );
    assert_eq!(refused.map(drop).unwrap_err(), Refusal::BadTrailer);
    // Signed ones need their signature, and nothing behind it.
    let signed = stream(Mode::SignedTrailer, &[b"abc".to_vec()], "\r\n");
    let text = String::from_utf8(signed.body.clone()).unwrap();
    let at = text.find("x-amz-trailer-signature").unwrap();
    let without = format!("{}\r\n", &text[..at]);
    assert_eq!(signed.sent(without.as_bytes(), &[]).1, Err(Refusal::TrailerSignature));
    let behind = text.replace("\r\n\r\n", "\r\nx-amz-acl:1\r\n\r\n");
    assert_eq!(signed.sent(behind.as_bytes(), &[]).1, Err(Refusal::BadTrailer));
}

#[test]
fn sizes_are_numbers_in_one_form_and_not_too_large() {
    let plain = stream(Mode::Unsigned, &[b"abc".to_vec()], "\r\n");
    for bad in ["+3", "0x3", "3 ", " 3", "", "3;a=b", "00000000000000003", "-1", "3\n", "g"] {
        let body = format!("{bad}\r\nabc\r\n0\r\n");
        assert_eq!(plain.sent(body.as_bytes(), &[]).1, Err(Refusal::BadChunk), "{bad:?}");
    }
    // More than was announced, as soon as it is said, before any of it goes out; less, at the end.
    let mut chunks = Chunks::new(Framing { data_length: Some(3), ..Framing::default() });
    assert_eq!(chunks.push(Bytes::from_static(b"4\r\nabcd\r\n")), Err(Refusal::WrongLength));
    assert_eq!(chunks.pop(), None);
    assert_eq!(plain.sent(b"4\r\n", &[]).1, Err(Refusal::WrongLength));
    assert_eq!(plain.sent(b"ffffffffffffffff\r\n", &[]).1, Err(Refusal::WrongLength));
    let less = plain.sent(b"2\r\nab\r\n0\r\nx-amz-meta-b:1\r\nx-amz-checksum-crc32:2\r\n\r\n", &[]);
    assert_eq!(less.1, Err(Refusal::WrongLength));
    // A chunk of 17 MiB would have to be held in memory.
    let length = SIGNED_CHUNK_BYTES_MAX + 1;
    let mut signed = stream(Mode::Signed, &[vec![0; 100]], "\r\n");
    signed.head.headers.insert("x-amz-decoded-content-length", "99999999".parse().unwrap());
    let body = format!("{length:x};chunk-signature={}\r\n", "0".repeat(64));
    assert_eq!(signed.sent(body.as_bytes(), &[]).1, Err(Refusal::ChunkTooLarge));
    // A line that does not end costs no memory.
    assert_eq!(plain.sent(&[b'0'; 200], &[]).1, Err(Refusal::BadChunk));
}

/// Chunks of another request, of this one in another order, or twice.
#[test]
fn chunks_hold_only_in_their_place() {
    let two = stream(Mode::Signed, &[b"aaa".to_vec(), b"bbb".to_vec()], "\r\n");
    let at = "3;chunk-signature=".len() + 64 + 2 + 3 + 2;
    let (first, rest) = two.body.split_at(at);
    let (second, last) = rest.split_at(at);
    for (what, body) in [
        ("swapped", [second, first, last].concat()),
        ("twice", [first, first, last].concat()),
        ("left out", [first, last].concat()),
        ("the last alone", last.to_vec()),
    ] {
        assert!(two.sent(&body, &[]).1.is_err(), "{what}");
    }
    // The same data after another head.
    let other = Client { region: "eu-west-2", ..Client::default() };
    let payload =
        aws_sigv4::http_request::SignableBody::Precomputed(Mode::Signed.text().to_owned());
    let head = other.sign(request("PUT", "/b/k", &[]), payload);
    let verified = verified(&head, b"").unwrap();
    let signed = resigned(&head, &verified, &real());
    let outgoing =
        Outgoing::new(cut(&two.body, &[]), &head.headers, &verified, signed.chunks.as_ref(), true);
    assert_eq!(sent(outgoing.unwrap()).1, Err(Refusal::ChunkSignature));
    assert_eq!(two.sent(&two.body, &[]).1, Ok(()));
}

/// A chunk that comes in byte by byte takes no more memory than it has bytes, and comes out in one piece.
#[test]
fn small_pieces_are_put_together() {
    let stream = stream(Mode::Signed, &[vec![b'a'; 10_000]], "\r\n");
    let resign = stream.verified_chunks(Mode::Signed);
    let mut chunks = Chunks::new(Framing { resign, ..Framing::default() });
    for byte in &stream.body {
        chunks.push(Bytes::copy_from_slice(&[*byte])).unwrap();
    }
    chunks.finish().unwrap();
    let pieces: Vec<_> = std::iter::from_fn(|| chunks.pop()).collect();
    assert_eq!(pieces.len(), 4, "two lines, the data, and the end");
    assert!(pieces.concat() == stream.right);
}

#[test]
fn trailers_of_http_are_refused() {
    for mode in MODES {
        let stream = stream(mode, &[b"abc".to_vec()], "\r\n");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-amz-acl", "public-read".parse().unwrap());
        let body = Pieces(vec![stream.body.clone().into()], Some(trailers));
        assert_eq!(sent(stream.outgoing(body).unwrap()).1, Err(Refusal::BadTrailer), "{mode:?}");
    }
}

/// The examples of the S3 user guide are let through, and signed anew.
#[test]
fn the_streams_of_the_guide_go_out() {
    for (head, body) in [super::examples::chunked(), super::examples::with_trailer()] {
        let verified = super::examples::verified(&head).unwrap();
        let signed = resigned(&head, &verified, &real());
        let outgoing = |body: &[u8]| {
            let body = cut(body, &[1, 100, 65_000, 66_000]);
            Outgoing::new(body, &head.headers, &verified, signed.chunks.as_ref(), false).unwrap()
        };
        let (out, ended) = sent(outgoing(&body));
        assert_eq!((out.len(), ended), (body.len(), Ok(())));
        assert_ne!(out, body);
        let mut other = body.clone();
        other[66_000] ^= 1;
        assert_eq!(sent(outgoing(&other)).1, Err(Refusal::ChunkSignature));
        // The guide has a line feed, and an empty line before the signature.
        if let Some(at) = find(&body, b"\r\nx-amz-trailer-signature") {
            let odd = [&body[..at], b"\n", &body[at..]].concat();
            assert_eq!(sent(outgoing(&odd)).1, Ok(()));
            let mut forged = body.clone();
            let at = find(&body, b"sOO8").unwrap();
            forged[at] = b'S';
            assert_eq!(sent(outgoing(&forged)).1, Err(Refusal::TrailerSignature));
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_stream_goes_out_whole_whatever_its_pieces(
        chunks in vec(vec(any::<u8>(), 1..10_000), 0..6),
        places in vec(any::<Index>(), 0..12),
        mode in prop_oneof![Just(Mode::Unsigned), Just(Mode::Signed), Just(Mode::SignedTrailer)],
    ) {
        let stream = stream(mode, &chunks, "\r\n");
        let places: Vec<_> = places.iter().map(|at| at.index(stream.body.len() + 1)).collect();
        let (sent, ended) = stream.sent(&stream.body, &places);
        prop_assert!(sent == stream.right);
        prop_assert_eq!(ended, Ok(()));
    }
}
