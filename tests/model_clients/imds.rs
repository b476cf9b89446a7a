//! The instance metadata service. Read in the versions that the other rows name, and in s3fs and s3cmd.
//!
//! Here most SDKs keep what they hold when the endpoint fails: an instance is thought better off with an old
//! credential than with none.

use super::kind::{Early, Failing, Kind, Late, MINUTE, Refresh, Source};

const fn row(name: &'static str) -> Kind {
    Kind::new(name, Source::Imds)
}

pub(super) const ROWS: &[Kind] = &[
    // The thread that refreshes raises even while the old credential is good.
    Kind {
        early_fails: Failing::Raises,
        ..row("botocore, AWS CLI")
            .windows(
                Refresh::Before(15 * MINUTE, 15 * MINUTE),
                Refresh::Before(10 * MINUTE, 10 * MINUTE),
                Early::OneThreadWaits,
            )
            .late(Late::Floor { window: 15 * MINUTE, least: 2 * MINUTE, most: 10 * MINUTE })
    },
    row("JavaScript, default chain")
        .windows(
            Refresh::Before(5 * MINUTE, 5 * MINUTE),
            Refresh::Before(0, 0),
            Early::InBackground,
        )
        .late(Late::Extends(5 * MINUTE, 10 * MINUTE)),
    row("JavaScript, fromInstanceMetadata")
        .unbounded(Failing::KeepsFor(5 * MINUTE, 10 * MINUTE))
        .late(Late::Extends(5 * MINUTE, 10 * MINUTE)),
    // The last credential for any error, for every request.
    row("Rust")
        .stops_before(5, 10)
        .unbounded(Failing::Keeps)
        .late(Late::Extends(10 * MINUTE, 15 * MINUTE)),
    Kind {
        soft: Refresh::EveryOrBefore(60 * MINUTE, 0),
        hard: Refresh::EveryOrBefore(60 * MINUTE, 0),
        ..row("Go v2").unbounded(Failing::KeepsFor(5 * MINUTE, 15 * MINUTE))
    },
    row("Go v1").stops_before(5 * MINUTE, 5 * MINUTE),
    Kind {
        soft: Refresh::AtShare(50),
        hard: Refresh::Before(1, 1),
        early: Early::OneThreadWaits,
        ..row("Java").unbounded(Failing::KeepsFor(0, 10)).late(Late::Extends(MINUTE, 10 * MINUTE))
    },
    // A timer of its own, which stands still with the machine; what it brought last is used, expired or not.
    Kind {
        soft: Refresh::Every(2 * MINUTE, 2 * MINUTE),
        hard: Refresh::Every(2 * MINUTE, 2 * MINUTE),
        ..row(".NET").unbounded(Failing::KeepsFor(2 * MINUTE, 10 * MINUTE)).monotonic()
    },
    // Its credentials carry no expiration here.
    Kind {
        soft: Refresh::Every(5 * MINUTE, 5 * MINUTE),
        hard: Refresh::Every(5 * MINUTE, 5 * MINUTE),
        ..row("C++").unbounded(Failing::KeepsFor(5 * MINUTE, 10 * MINUTE)).late(Late::Refuses)
    },
    row("Ruby")
        .stops_before(5 * MINUTE, 5 * MINUTE)
        .unbounded(Failing::KeepsFor(5 * MINUTE, 6 * MINUTE))
        .late(Late::Refuses),
    row("PHP, refused").late(Late::Extends(5 * MINUTE, 10 * MINUTE)),
    row("PHP, status 500 or no answer")
        .unbounded(Failing::KeepsFor(5 * MINUTE, 10 * MINUTE))
        .late(Late::Extends(5 * MINUTE, 10 * MINUTE)),
    row("CRT").stops_before(5 * MINUTE, 5 * MINUTE).monotonic(),
    row("object_store").stops_before(5 * MINUTE, 5 * MINUTE).monotonic(),
    row("s3fs").stops_before(20 * MINUTE, 20 * MINUTE),
    row("s3cmd").stops_before(15 * MINUTE, 15 * MINUTE),
    Kind::sep("Go v2, to come", Source::Imds),
    Kind::sep("Java, to come", Source::Imds),
    Kind::sep("botocore, to come", Source::Imds),
];
