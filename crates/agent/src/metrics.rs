//! Metrics for Prometheus: `GET /metrics` on the agent's Unix socket.
//!
//! What is counted while programs are answered is counted by atomics ([`Counters`]): no answer waits for it. Everything else
//! is looked up when somebody asks, on a thread that answers nobody.

mod counters;
mod proxy;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

pub use self::counters::{Counters, called};
use self::counters::{Took, counted, took};
pub use self::proxy::Answered;
pub use self::table::{METRICS, Metric, Sort};

/// A value, and the values of its metric's labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Of which metric.
    pub name: &'static str,
    /// In the order of the metric's labels.
    pub labels: Vec<String>,
    /// The value.
    pub value: f64,
}

/// A sample of the metric of that name.
pub(crate) fn sample(name: &'static str, labels: &[&str], value: f64) -> Sample {
    Sample { name, labels: labels.iter().map(|label| (*label).to_owned()).collect(), value }
}

/// One answer to a scrape.
struct Scrape {
    samples: Vec<Sample>,
    took: Took,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let sort = match metric.sort {
                Sort::Counter => MetricType::Counter,
                Sort::Gauge => MetricType::Gauge,
                Sort::Histogram => MetricType::Histogram,
            };
            // The crate ends it with a full stop.
            let mut of_it =
                self.samples.iter().filter(|sample| sample.name == metric.name).peekable();
            if of_it.peek().is_none() && metric.sort != Sort::Histogram {
                continue;
            }
            let help = format!("{}.", metric.help);
            let mut family = encoder.encode_descriptor(metric.name, &help, None, sort)?;
            if metric.sort == Sort::Histogram {
                let count = self.took.counts.iter().map(|(_, count)| count).sum();
                family.encode_histogram::<NoLabelSet>(
                    self.took.seconds,
                    count,
                    &self.took.counts,
                    None,
                )?;
                continue;
            }
            for sample in of_it {
                let names = metric.labels.iter().copied();
                let labels: Vec<(&str, &str)> =
                    names.zip(sample.labels.iter().map(String::as_str)).collect();
                if labels.is_empty() {
                    write(&mut family, metric.sort, sample.value)?;
                } else {
                    write(&mut family.encode_family(&labels)?, metric.sort, sample.value)?;
                }
            }
        }
        Ok(())
    }
}

fn write(encoder: &mut MetricEncoder<'_>, sort: Sort, value: f64) -> fmt::Result {
    match sort {
        Sort::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None),
        _ => encoder.encode_gauge(&value),
    }
}

/// What a scrape is answered with: the text format of OpenMetrics, which Prometheus reads.
#[must_use]
pub fn render(mut samples: Vec<Sample>, counters: &Counters) -> String {
    samples.extend(counted(counters));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { samples, took: took(counters) }));
    let mut body = String::new();
    // Writing into memory does not fail.
    let _ = text::encode(&mut body, &registry);
    body
}
