//! `rotakey presign`: real URLs, and what a rotation has to do with them.

use jiff::Timestamp;
use serde_json::Value;

use super::stage::{at_simulator, curl, scenario};
use crate::support::moto::{Moto, world};
use crate::support::{Run, World};

/// One line, and nothing else.
fn url(run: &Run) -> &str {
    assert_eq!(run.code, 0, "{run:?}");
    let url = run.stdout.strip_suffix('\n').expect("a line");
    assert!(url.starts_with("http://127.0.0.1:") && !url.contains('\n'), "{run:?}");
    url
}

#[test]
fn a_real_url_does_what_it_is_for_and_nothing_else() {
    let moto = Moto::start(&["--everything"]);
    let world = world(&moto);
    let presign = |arguments: &[&str]| world.rotakey(&[&["presign"][..], arguments].concat());
    let bucket = presign(&["s3://links/", "--method", "PUT"]);
    assert_eq!(bucket.code, 2, "{bucket:?}");
    let made = std::process::Command::new(crate::support::venv().join("bin/aws"))
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", &world.id)
        .env("AWS_SECRET_ACCESS_KEY", &world.secret)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .args(["--endpoint-url", &world.url, "s3", "mb", "s3://links"])
        .output();
    assert!(made.expect("it starts").status.success());
    for key in ["plain", "a b/ü", "a+b", "a%2Fb", "a/../b//c/./d", "x=y&z?", "~!*'()"] {
        let target = format!("s3://links/{key}");
        let put = presign(&[&target, "--method", "put"]);
        assert_eq!(curl(url(&put), &["-T", "/dev/null"]).0, 200, "{key}");
        let typed = presign(&["app", &target, "--method", "PUT", "--content-type", "text/x-odd"]);
        let with_type = ["-X", "PUT", "--data-binary", key, "-H", "Content-Type: text/x-odd"];
        assert_eq!(curl(url(&typed), &with_type).0, 200, "{key}");
        assert_eq!(curl(url(&typed), &["-X", "PUT", "-H", "Content-Type: a/b"]).0, 403, "{key}");
        let get = presign(&[&target, "--expires-in", "1m"]);
        assert_eq!(curl(url(&get), &[]), (200, key.to_owned()));
        assert_eq!(curl(&url(&get).replace("Expires=60", "Expires=61"), &[]).0, 403, "{key}");
        assert_eq!(curl(url(&get), &["-X", "DELETE"]).0, 403, "another method");
        let head = presign(&[&target, "--method", "HEAD"]);
        assert_eq!(curl(url(&head), &["-I"]).0, 200, "{key}");
        let delete = presign(&[&target, "--method", "DELETE"]);
        assert_eq!(curl(url(&delete), &["-X", "DELETE"]).0, 204, "{key}");
        assert_eq!(curl(url(&get), &[]).0, 404, "{key}");
    }
    for wrong in [
        &["s3://links/k", "--expires-in", "604801"][..],
        &["s3://links/k", "--expires-in", "0"],
        &["s3://links/k", "--expires-in", "8d"],
        &["s3://links/k", "--expires-in", "soon"],
        &["s3://links"],
        &["links/k"],
        &["http://127.0.0.1:1/links/k"],
    ] {
        let run = presign(wrong);
        assert!(run.code == 2 && run.stdout.is_empty(), "{wrong:?}: {run:?}");
    }
}

fn horizon(world: &World) -> Timestamp {
    let ledger = std::fs::read_to_string(world.state().join("ledger.json")).expect("a ledger");
    let ledger: Value = serde_json::from_str(&ledger).expect("JSON");
    let horizon = &ledger["horizons"][&world.id]["served_until"];
    horizon.as_str().expect("a time").parse().expect("a time")
}

/// The old key is not retired while a URL of it lives; then it is.
fn a_rotation_waits(world: &World) {
    let before = Timestamp::now();
    let run = world.expect(0, &["presign", "s3://links/k", "--expires-in", "25"]);
    assert!(run.stderr.contains("a rotation of app does not retire that key"), "{run:?}");
    let until = horizon(world);
    assert!(until.duration_since(before).as_secs() >= 25, "{until}");
    let holders = world.status()["leases"]["holders"].clone();
    let is_it =
        |holder: &Value| holder["source"] == "presign" && holder["access_key_id"] == *world.id;
    assert!(holders.as_array().expect("a list").iter().any(is_it), "{holders}");
    let audit =
        std::fs::read_to_string(world.home.path().join("state/audit.jsonl")).expect("there");
    assert!(audit.contains("\"presign\"") && audit.contains("GET /links/k until"), "{audit}");
    assert!(!audit.contains("X-Amz-Signature"), "{audit}");

    world.expect(0, &["rotate", "--wait", "published"]);
    let (status, body) = curl(url(&run), &[]);
    assert_eq!(status, 404, "it is let in, and there is no such bucket: {body}");
    world.expect(0, &["resume", "--wait", "deactivated"]);
    assert!(Timestamp::now() >= until, "it was retired before {until}");
    assert_eq!(curl(url(&run), &[]).0, 403, "the key is gone, or the time is over");
}

#[test]
fn a_rotation_waits_for_a_url_that_was_made_without_an_agent() {
    let world = World::added();
    a_rotation_waits(&world);
}

#[test]
fn a_rotation_waits_for_a_url_that_the_agent_made() {
    let (world, _agent) = at_simulator("");
    a_rotation_waits(&world);
}

#[test]
fn what_a_program_signed_for_the_proxy_is_made_real() {
    let (world, _agent) = at_simulator("");
    let signed = scenario(&world, "sign", &[]);
    let signed: Value = serde_json::from_str(&signed).expect("JSON");
    let text = |name: &str| signed[name].as_str().expect("a URL").to_owned();
    let bucket = world.expect(0, &["presign", "s3://local/x", "--method", "PUT"]);
    let bucket = url(&bucket).to_owned();
    assert!(bucket.starts_with(&world.url), "{bucket}");
    // The bucket, by the real key.
    let output = std::process::Command::new(crate::support::venv().join("bin/aws"))
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", &world.id)
        .env("AWS_SECRET_ACCESS_KEY", &world.secret)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .args(["--endpoint-url", &world.url, "s3", "mb", "s3://local"])
        .output();
    assert!(output.expect("it starts").status.success());

    let put = world.rotakey(&["presign", &text("put")]);
    assert!(url(&put).starts_with(&world.url), "{put:?}");
    assert_eq!(
        curl(url(&put), &["-X", "PUT", "--data-binary", "by url", "-H", "Content-Type:"]).0,
        200
    );
    let get = world.rotakey(&["presign", &text("get"), "--expires-in", "604800"]);
    assert!(url(&get).contains("response-content-disposition=attachment"), "{get:?}");
    let life = url(&get).split("X-Amz-Expires=").nth(1).expect("a life");
    let life: u64 = life.split('&').next().unwrap().parse().expect("a number");
    assert!(life <= 900, "not longer than the program meant: {life}");
    assert_eq!(curl(url(&get), &[]), (200, "by url".to_owned()));
    let typed = world.rotakey(&["presign", &text("typed"), "--content-type", "text/plain"]);
    let sent = ["-X", "PUT", "--data-binary", "typed", "-H", "Content-Type: text/plain"];
    assert_eq!(curl(url(&typed), &sent).0, 200);
    for (wrong, why) in [
        (text("get").replace("Expires=900", "Expires=901"), "signature"),
        (text("get").replace("/local/", "/other/"), "signature"),
        (text("typed"), "signature"),
        (text("old"), "presigned_v2"),
        (text("get").replace("ROTAKEY", "ROTAKEX"), "no program was given"),
    ] {
        let run = world.rotakey(&["presign", &wrong]);
        assert!(run.code == 2 && run.stdout.is_empty() && run.stderr.contains(why), "{run:?}");
    }
}
