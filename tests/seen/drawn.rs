//! The dashboard, drawn with Grafana's own front-end libraries (tests/dashboard) in a browser, out of a real Prometheus.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// As wide as the page is, and as high as its panels are.
const SIZE: &str = "--window-size=1440,1930";

/// Where `make dashboard` puts the page together, and where the pictures go.
pub(super) fn room() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/dashboard")
}

/// Runs a browser of its own until it has done what it was told.
fn browse(prometheus: SocketAddr, orders: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "120", "chromium"])
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--virtual-time-budget=20000", SIZE])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(orders)
        .arg(format!("http://{prometheus}/user/index.html"))
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .stdin(Stdio::null());
    let output = command.output().expect("`make deps` installs chromium");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What came of each panel, by its title, as the page says.
pub(super) fn outcomes(prometheus: SocketAddr) -> BTreeMap<String, String> {
    let page = browse(prometheus, &["--dump-dom"]);
    let attribute = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("data-{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let panels = page.split("<div").filter_map(|text| {
        let title = text.split_once('>')?.0;
        Some((attribute(title, "title")?, attribute(title, "outcome")?))
    });
    panels.collect()
}

/// Takes a picture of the page: as a person sees it, and twice as large.
pub(super) fn picture(prometheus: SocketAddr) {
    for (name, scale) in [("dashboard.png", 1), ("dashboard-2x.png", 2)] {
        let path = room().join(name);
        let _ = std::fs::remove_file(&path);
        let taken = format!("--screenshot={}", path.display());
        browse(prometheus, &[&taken, &format!("--force-device-scale-factor={scale}")]);
        assert!(path.exists(), "there is no {}", path.display());
    }
}
