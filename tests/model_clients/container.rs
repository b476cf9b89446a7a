//! The container endpoint (`AWS_CONTAINER_CREDENTIALS_FULL_URI`). Read in the versions that `process.rs` names,
//! in object_store 0.14, and in what Go v2, Java and botocore have merged for later.

use super::kind::{Early, Failing, Kind, Late, MINUTE, Refresh, Source};

const fn row(name: &'static str) -> Kind {
    Kind::new(name, Source::Container)
}

pub(super) const ROWS: &[Kind] = &[
    row("botocore, AWS CLI")
        .windows(
            Refresh::Before(15 * MINUTE, 15 * MINUTE),
            Refresh::Before(10 * MINUTE, 10 * MINUTE),
            Early::OneThreadWaits,
        )
        .late(Late::Refuses),
    // It signs with an answer that has expired, once.
    row("JavaScript, default chain").windows(
        Refresh::Before(5 * MINUTE, 5 * MINUTE),
        Refresh::Before(0, 0),
        Early::InBackground,
    ),
    row("JavaScript, a program's own provider").stops_before(5 * MINUTE, 5 * MINUTE),
    row("Rust").stops_before(5, 10),
    row("Go v2").stops_before(5 * MINUTE, 5 * MINUTE),
    row("Go v1").stops_before(5 * MINUTE, 5 * MINUTE),
    row("Java").windows(
        Refresh::Before(15 * MINUTE, 15 * MINUTE),
        Refresh::Before(MINUTE, MINUTE),
        Early::OneThreadWaits,
    ),
    row(".NET")
        .windows(
            Refresh::Before(15 * MINUTE, 15 * MINUTE),
            Refresh::Before(0, 0),
            Early::InBackground,
        )
        .late(Late::Refuses),
    // `Reload` returns early when the endpoint fails, and what was there is used.
    Kind {
        soft: Refresh::EveryOrBefore(5 * MINUTE, 5),
        hard: Refresh::EveryOrBefore(5 * MINUTE, 5),
        ..row("C++").unbounded(Failing::KeepsFor(0, 5 * MINUTE))
    },
    row("Ruby").stops_before(5 * MINUTE, 5 * MINUTE),
    row("PHP"),
    row("object_store").stops_before(5 * MINUTE, 5 * MINUTE).monotonic(),
    Kind { soft: Refresh::AtShare(80), hard: Refresh::AtShare(80), ..row("minio-go") },
    Kind::sep("Go v2, to come", Source::Container),
    Kind::sep("Java, to come", Source::Container),
    Kind::sep("botocore, to come", Source::Container),
];
