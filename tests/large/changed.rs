//! Bodies that were changed after they were signed.

use super::Stage;
use super::server::Fate;
use super::uploads::body::{Change, Frame, Mode, upload};
use super::uploads::pattern::Pattern;
use super::uploads::wire::Connection;

/// Too long to be held in memory, and no whole number of chunks.
const LENGTH: u64 = (5 << 20) + 7;

/// What the proxy finds out by itself.
const FOUND: [(Mode, &[Change]); 4] = [
    (Mode::Hash, &[Change::Middle, Change::Last, Change::LeftOut]),
    (
        Mode::SignedChunks,
        &[
            Change::Middle,
            Change::Last,
            Change::Signature,
            Change::End,
            Change::LeftOut,
            Change::Twice,
            Change::CutShort,
            Change::More,
        ],
    ),
    (
        Mode::SignedTrailer,
        &[
            Change::Middle,
            Change::Last,
            Change::Signature,
            Change::End,
            Change::Trailer,
            Change::TrailerSignature,
            Change::NoTrailer,
            Change::LeftOut,
            Change::Twice,
            Change::CutShort,
            Change::More,
        ],
    ),
    (
        Mode::UnsignedTrailer,
        &[Change::NoTrailer, Change::LeftOut, Change::Twice, Change::CutShort, Change::More],
    ),
];

#[test]
fn what_was_changed_on_the_way_is_broken_off_and_not_stored() {
    let stage = Stage::new();
    let hash = Pattern::new(2, LENGTH).hash();
    let mut cases = 0;
    for (mode, changes) in FOUND {
        for (change, frame) in changes
            .iter()
            .flat_map(|change| [Frame::Length, Frame::Chunked].map(|frame| (*change, frame)))
        {
            // With a length that is announced, what comes behind it is another request, which is nobody's.
            let target = format!("/changed/{mode:?}-{change:?}-{frame:?}");
            let data = Pattern::new(2, LENGTH);
            let (head, body) =
                upload(&stage.proxied, &target, (mode, frame, change), data, LENGTH, &hash);
            let answer = Connection::default().ask(&stage.proxied.host, &head, body);
            let fate = stage.server.fate(&target);
            if change == Change::More && frame == Frame::Length {
                let whole = Fate::Stored { length: LENGTH, hash: hash.clone() };
                assert_eq!(fate, Some(whole), "{target}: {answer:?}");
                continue;
            }
            cases += 1;
            // It was begun, as nobody could know, and never ended.
            assert_eq!(fate, Some(Fate::BrokenOff), "{target}: {answer:?}");
            if let Ok(answer) = answer {
                assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
            }
        }
    }
    assert_eq!(cases, 51, "cases");
    // Nothing of it is left in the connections to the server.
    for mode in Mode::ALL {
        let target = format!("/changed/{mode:?}");
        let what = (mode, Frame::Length, Change::Nothing);
        let data = Pattern::new(2, LENGTH);
        let (head, body) = upload(&stage.proxied, &target, what, data, LENGTH, &hash);
        let answer = Connection::default().ask(&stage.proxied.host, &head, body).unwrap();
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
    }
}

#[test]
fn what_only_the_server_can_find_out_it_is_told() {
    let stage = Stage::new();
    let hash = Pattern::new(3, LENGTH).hash();
    for (frame, change, mode) in [
        (Frame::Length, Change::Trailer, Mode::UnsignedTrailer),
        (Frame::Chunked, Change::Trailer, Mode::UnsignedTrailer),
        (Frame::Length, Change::Last, Mode::UnsignedTrailer),
        (Frame::Chunked, Change::Middle, Mode::UnsignedTrailer),
    ] {
        let target = format!("/told/{change:?}-{frame:?}");
        let data = Pattern::new(3, LENGTH);
        let (head, body) =
            upload(&stage.proxied, &target, (mode, frame, change), data, LENGTH, &hash);
        let answer = Connection::default().ask(&stage.proxied.host, &head, body).unwrap();
        assert_eq!((answer.status, answer.told().contains("BadDigest")), (400, true), "{answer:?}");
        assert_eq!(stage.server.fate(&target), Some(Fate::Refused("BadDigest")), "{target}");
    }
}

#[test]
fn a_head_that_was_changed_is_not_sent_on() {
    let stage = Stage::new();
    let hash = Pattern::new(4, LENGTH).hash();
    let before = stage.server.heads();
    for mode in Mode::ALL {
        for frame in [Frame::Length, Frame::Chunked] {
            for name in ["x-amz-content-sha256", "x-amz-date", "authorization", "host"] {
                let target = format!("/head/{mode:?}-{frame:?}-{name}");
                let data = Pattern::new(4, LENGTH);
                let what = (mode, frame, Change::Nothing);
                let (mut head, body) = upload(&stage.proxied, &target, what, data, LENGTH, &hash);
                let value = &mut head.headers.iter_mut().find(|(own, _)| own == name).unwrap().1;
                *value = match name {
                    "x-amz-content-sha256" => "0".repeat(64),
                    "x-amz-date" => value.replace('Z', "X"),
                    "host" => "s3.us-east-1.amazonaws.com".to_owned(),
                    _ => {
                        let (start, last) = value.split_at(value.len() - 1);
                        format!("{start}{}", if last == "0" { "1" } else { "0" })
                    }
                };
                let head = head.with("expect", "100-continue");
                let answer = Connection::default().ask(&stage.proxied.host, &head, body).unwrap();
                assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
                assert_eq!(stage.server.fate(&target), None, "{target}");
            }
        }
    }
    assert_eq!(stage.server.heads(), before, "nothing was sent on");
}
