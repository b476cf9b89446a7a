use std::time::Duration;

use rotakey_endpoint::table::{Refused, Source};

use super::counters::REASONS;
use super::*;

#[test]
fn what_is_counted_is_written_and_an_answer_has_its_place() {
    let counters = Counters::default();
    counters.given(Source::Imds);
    counters.given(Source::Imds);
    counters.unavailable(Source::Process);
    counters.refused(Refused::Crowded);
    for micros in [49, 50, 51, 250_000, 250_001] {
        counters.took(Duration::from_micros(micros));
    }
    let name = "a\"b\\c\nd";
    let text = render(vec![sample("rotakey_key_generation", &[name], 7.0)], &counters);
    for line in [
        "rotakey_answers_total{source=\"imds\",outcome=\"given\"} 2.0",
        "rotakey_answers_total{source=\"process\",outcome=\"unavailable\"} 1.0",
        "rotakey_refusals_total{reason=\"crowded\"} 1.0",
        "rotakey_answer_seconds_bucket{le=\"0.00005\"} 2",
        "rotakey_answer_seconds_bucket{le=\"0.0001\"} 3",
        "rotakey_answer_seconds_bucket{le=\"0.25\"} 4",
        "rotakey_answer_seconds_bucket{le=\"+Inf\"} 5",
        "rotakey_answer_seconds_count 5",
        "rotakey_key_generation{profile=\"a\\\"b\\\\c\\nd\"} 7.0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn every_reason_and_every_class_has_a_name_of_its_own() {
    let mut names: Vec<&str> = REASONS.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), REASONS.len());
    let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), METRICS.len());
}

#[test]
fn the_document_is_made_from_the_table() {
    let mut table =
        String::from("| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n");
    for metric in METRICS {
        let total = if metric.sort == Sort::Counter { "_total" } else { "" };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        table.push_str(&format!(
            "| `{}{total}` | {} | {} | {} |\n",
            metric.name,
            format!("{:?}", metric.sort).to_lowercase(),
            labels.join(", "),
            metric.help
        ));
    }
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md"));
    let document = crate::store::disk::read(path).expect("readable").unwrap_or_default();
    let document = String::from_utf8(document).expect("text");
    if std::env::vars_os().any(|(name, _)| name == "UPDATE") {
        let (before, rest) = document.split_once("| metric |").expect("the table");
        let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
        let made = format!("{before}{table}\n{after}");
        crate::store::disk::replace(path, made.as_bytes()).expect("writable");
        return;
    }
    assert!(document.contains(&table), "run: UPDATE=1 cargo test the_document");
}
