//! Bodies that are in memory, those that are hashed as they pass, and those that pass as they are.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_sigv4::http_request::SignableBody;
use bytes::Bytes;
use hyper::body::Body;
use rotakey_endpoint::proxy::payload::buffer::{Budget, Buffered, buffer};
use rotakey_endpoint::proxy::payload::{BodyError, Outgoing};
use rotakey_endpoint::proxy::refusal::Refusal;

use super::streams::{Pieces, cut, sent};
use super::world::{Client, real, request, resigned, verified};

fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("everything is there"),
    }
}

fn in_memory(body: Pieces, bytes_max: usize, budget: &Budget) -> Result<Buffered, Refusal> {
    now_or_never(buffer(body, bytes_max, budget)).map_err(|error| match error {
        BodyError::Refused(why) => why,
        BodyError::Source(error) => panic!("{error}"),
    })
}

#[test]
fn a_body_with_a_hash_goes_out_as_it_is_and_not_whole_if_it_is_another() {
    let body = b"0123456789".repeat(10);
    let head = Client::default().sign(request("PUT", "/b/k", &[]), SignableBody::Bytes(&body));
    let verified = verified(&head, b"").unwrap();
    let signed = resigned(&head, &verified, &real());
    let outgoing = |body: &[u8], places: &[usize], check_hash| {
        let body = cut(body, places);
        Outgoing::new(body, &head.headers, &verified, signed.chunks.as_ref(), check_hash).unwrap()
    };
    for at in 0..=body.len() {
        assert_eq!(sent(outgoing(&body, &[at, 50], true)), (body.clone(), Ok(())));
        let mut other = body.clone();
        other[at % 100] ^= 1;
        let (out, ended) = sent(outgoing(&other, &[at, 50], true));
        assert_eq!(ended, Err(Refusal::WrongHash));
        assert!(out.len() < other.len());
        // AWS compares it too, so it need not be done here.
        assert_eq!(sent(outgoing(&other, &[at], false)), (other, Ok(())));
    }
    assert_eq!(sent(outgoing(&body[..99], &[], true)).1, Err(Refusal::WrongHash));
    // Nobody asks for a body that is empty: it is compared before.
    let none = || Pieces(Vec::new(), None);
    let outgoing = |check_hash| {
        Outgoing::new(none(), &head.headers, &verified, signed.chunks.as_ref(), check_hash)
            .map(drop)
    };
    assert_eq!([outgoing(true), outgoing(false)], [Err(Refusal::WrongHash), Ok(())]);
}

#[test]
fn a_body_whose_hash_is_not_given_is_read_before_it_is_verified() {
    let body = br#"{"TableName":"t"}"#;
    let client = Client { service: "dynamodb", ..Client::default() };
    let head = client.sign(request("POST", "/", &[]), SignableBody::Bytes(body));
    let budget = Budget::new(1 << 20);
    let buffered = in_memory(cut(body, &[1, 5]), 100, &budget).unwrap();
    assert_eq!(buffered.bytes(), &body[..]);
    let admitted = super::world::admitted(&head).unwrap();
    let keys = rotakey_endpoint::proxy::key::SigningKeys::new();
    assert!(admitted.verify(&head, Some(buffered.hash()), &keys).is_ok());
    let other = in_memory(cut(b"{}", &[]), 100, &budget).unwrap();
    let admitted = super::world::admitted(&head).unwrap();
    let refused = admitted.verify(&head, Some(other.hash()), &keys).map(drop);
    assert_eq!(refused, Err(Refusal::WrongSignature));
    let admitted = super::world::admitted(&head).unwrap();
    assert_eq!(admitted.verify(&head, None, &keys).map(drop), Err(Refusal::WrongSignature));
}

#[test]
fn bodies_in_memory_have_a_limit_each_and_all_together() {
    let budget = Budget::new(3 * 4096);
    let body = |length: usize| Pieces(vec![Bytes::from(vec![0; length])], None);
    let first = in_memory(body(5000), 5000, &budget).unwrap();
    assert_eq!(budget.free_bytes(), 4096);
    assert_eq!(in_memory(body(5001), 5000, &budget).map(drop), Err(Refusal::TooLarge));
    assert_eq!(in_memory(body(4097), 5000, &budget).map(drop), Err(Refusal::Busy));
    assert_eq!(budget.free_bytes(), 4096, "a refused body holds nothing");
    let second = in_memory(body(4096), 5000, &budget).unwrap();
    assert_eq!(budget.free_bytes(), 0);
    assert!(in_memory(Pieces(Vec::new(), None), 5000, &budget).is_ok(), "nothing needs nothing");
    drop((first, second));
    assert_eq!(budget.free_bytes(), 3 * 4096);
    // Byte by byte it costs no more.
    let bytes = Pieces(vec![Bytes::from_static(b"a"); 4096], None);
    let third = in_memory(bytes, 5000, &budget).unwrap();
    assert_eq!((third.bytes().len(), budget.free_bytes()), (4096, 2 * 4096));
    // A length that is not announced is found out.
    let refused = now_or_never(buffer(Unannounced(body(5001)), 5000, &budget)).map(drop);
    assert!(matches!(refused, Err(BodyError::Refused(Refusal::TooLarge))), "{refused:?}");
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-amz-acl", "1".parse().unwrap());
    let with_trailers = Pieces(vec![Bytes::from_static(b"a")], Some(trailers));
    assert_eq!(in_memory(with_trailers, 10, &budget).map(drop), Err(Refusal::BadTrailer));
}

/// A body in HTTP chunks, whose length nobody knows.
struct Unannounced(Pieces);

impl Body for Unannounced {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(context)
    }
}

#[test]
fn what_is_not_signed_goes_out_as_it_is() {
    let head = Client::default().sign(request("PUT", "/b/k", &[]), SignableBody::UnsignedPayload);
    let verified = verified(&head, b"").unwrap();
    let signed = resigned(&head, &verified, &real());
    let body = Pieces(vec![Bytes::from_static(b"anything"), Bytes::from_static(b"\r\n")], None);
    assert_eq!(body.size_hint().exact(), Some(10));
    let outgoing =
        Outgoing::new(body, &head.headers, &verified, signed.chunks.as_ref(), true).unwrap();
    assert_eq!(sent(outgoing), (b"anything\r\n".to_vec(), Ok(())));
}
