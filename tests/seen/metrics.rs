//! Metrics, as Prometheus reads them.

use std::io::Write;
use std::process::{Command, Stdio};

use rotakey_agent::metrics::METRICS;
use serde_json::Value;

use super::support::agent::{ANYWHERE, Agent};
use super::support::{World, eventually};

/// Reads the text with the parser of Prometheus's Python client, which takes OpenMetrics at its word.
fn parsed(text: &str) -> Vec<Value> {
    let program = "import sys, json\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        for family in parse(sys.stdin.read()):\n    \
        print(json.dumps({'name': family.name, 'type': family.type, 'help': family.documentation, \
        'samples': [[s.name, s.labels, s.value] for s in family.samples]}))";
    let python = super::support::venv().join("bin/python");
    let mut child = Command::new(python)
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn scrape(agent: &Agent) -> String {
    let answer = agent.control("GET", "/metrics", b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.to_lowercase().contains("application/openmetrics-text"), "{}", answer.head);
    String::from_utf8(answer.body).unwrap()
}

/// The value of a sample with at least these labels.
fn value(families: &[Value], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let samples = families.iter().flat_map(|family| family["samples"].as_array().unwrap());
    let has = |sample: &&Value| {
        sample[0] == name && labels.iter().all(|(name, value)| sample[1][*name] == *value)
    };
    samples.into_iter().find(has).and_then(|sample| sample[2].as_f64())
}

#[test]
fn a_rotation_and_its_answers_are_measured() {
    let world = World::added();
    world.configure_agent(ANYWHERE, "imds = true\n");
    let agent = world.agent();
    for _ in 0..3 {
        agent.container("app");
    }
    agent.imds("app");
    agent.http("GET", "/credentials/app", "Authorization: wrong\r\n");
    agent.http("GET", "/credentials/app", "Origin: http://evil.example\r\n");
    let before = parsed(&scrape(&agent));
    assert_eq!(
        value(&before, "rotakey_answers_total", &[("source", "container"), ("outcome", "given")]),
        Some(3.0)
    );
    assert_eq!(value(&before, "rotakey_refusals_total", &[("reason", "token")]), Some(1.0));
    assert_eq!(value(&before, "rotakey_refusals_total", &[("reason", "browser")]), Some(1.0));
    assert!(value(&before, "rotakey_answer_seconds_count", &[]) >= Some(6.0));
    assert_eq!(value(&before, "rotakey_engine_up", &[]), Some(1.0));
    assert_eq!(value(&before, "rotakey_rotation_step", &[("step", "drain")]), Some(0.0));
    assert_eq!(value(&before, "rotakey_key_generation", &[("profile", "app")]), Some(1.0));
    assert!(value(&before, "rotakey_key_age_seconds", &[("stage", "current")]) < Some(600.0));
    assert!(value(&before, "rotakey_next_rotation_timestamp_seconds", &[]).is_some());

    world.expect(0, &["rotate", "app"]);
    // The agent counts some moments after the journal has it.
    let mut after = before;
    eventually("the rotation is over, and counted", || {
        after = parsed(&scrape(&agent));
        value(&after, "rotakey_rotations_total", &[("outcome", "rotated")]) == Some(1.0)
    });
    assert_eq!(world.step(), None);
    assert_eq!(value(&after, "rotakey_key_generation", &[("profile", "app")]), Some(2.0));
    assert!(value(&after, "rotakey_last_rotation_two_active_seconds", &[]) > Some(0.0));
    assert!(value(&after, "rotakey_aws_calls_total", &[("outcome", "done")]) > Some(0.0));
    assert!(value(&after, "rotakey_audit_lines", &[]) >= Some(2.0));
    // Nothing is written that is not in the table, and each has its help.
    for family in &after {
        let name = family["name"].as_str().unwrap();
        let metric = METRICS.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is in no document"));
        assert!(family["help"].as_str().unwrap().starts_with(metric.help), "{family}");
        assert_eq!(family["type"], format!("{:?}", metric.sort).to_lowercase());
    }
}

#[test]
fn they_can_be_turned_off_and_programs_do_not_reach_them() {
    let world = World::added();
    world.configure_agent(&format!("{ANYWHERE}metrics = false\n"), "");
    let agent = world.agent();
    assert_eq!(agent.control("GET", "/metrics", b"").status, 404);
    drop(agent);
    world.configure_agent(ANYWHERE, "");
    let agent = world.agent();
    assert_eq!(agent.http("GET", "/metrics", "").status, 404);
}

/// The dashboard and the documents ask for nothing that there is not.
#[test]
fn the_dashboard_asks_for_what_there_is() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, least) in
        [("packaging/grafana/rotakey.json", 12), ("docs/metrics.md", METRICS.len())]
    {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let words = text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("rotakey_"));
        let mut known = std::collections::BTreeSet::new();
        for word in words {
            let metric = METRICS.iter().find(|metric| {
                let rest = word.strip_prefix(metric.name);
                rest.is_some_and(|rest| ["", "_total", "_bucket", "_count", "_sum"].contains(&rest))
            });
            known.insert(metric.unwrap_or_else(|| panic!("{file}: there is no {word}")).name);
        }
        assert!(known.len() >= least, "{file}: {known:?}");
    }
}
