//! `credential_process`. Read in: botocore 1.43 and 1.44 (and the AWS CLI 1 and 2 with it), the JavaScript SDK
//! 3.972, aws-config 1.13, Go v2 1.17, Go v1, Java 2, .NET, C++, Ruby, PHP, aws-c-auth (CRT), minio-go.

use super::kind::{Early, Kind, Late, MINUTE, Refresh, Source};

const fn row(name: &'static str) -> Kind {
    Kind::new(name, Source::Process)
}

pub(super) const ROWS: &[Kind] = &[
    // Ten minutes before the end, every thread waits.
    row("botocore, AWS CLI")
        .windows(
            Refresh::Before(15 * MINUTE, 15 * MINUTE),
            Refresh::Before(10 * MINUTE, 10 * MINUTE),
            Early::OneThreadWaits,
        )
        .late(Late::Refuses),
    row("JavaScript, default chain")
        .windows(
            Refresh::Before(5 * MINUTE, 5 * MINUTE),
            Refresh::Before(0, 0),
            Early::InBackground,
        )
        .late(Late::Refuses),
    row("JavaScript, a program's own provider")
        .stops_before(5 * MINUTE, 5 * MINUTE)
        .late(Late::Refuses),
    // Ten seconds, less a jitter of up to five.
    row("Rust").stops_before(5, 10),
    // Its later version leaves this source as it was.
    row("Go v2"),
    row("Go v1"),
    row("Java").windows(Refresh::Before(15, 15), Refresh::Before(0, 0), Early::OneThreadWaits),
    row(".NET")
        .windows(
            Refresh::Before(15 * MINUTE, 15 * MINUTE),
            Refresh::Before(0, 0),
            Early::InBackground,
        )
        .late(Late::Refuses),
    // Without credentials it signs nothing, or goes on along its chain.
    row("C++"),
    row("Ruby").stops_before(5 * MINUTE, 5 * MINUTE),
    // Its cache may be shared between requests, in APCu or in Redis, which outlives a reboot.
    Kind { survives_reboot: true, ..row("PHP").late(Late::Refuses) },
    row("CRT").stops_before(5 * MINUTE, 5 * MINUTE).monotonic(),
    Kind { soft: Refresh::AtShare(80), hard: Refresh::AtShare(80), ..row("minio-go") },
    // Merged behind a flag that is off (botocore pull requests 3733 and 3777); in no release yet.
    Kind::sep("botocore, to come", Source::Process),
];
