//! The table itself, `table.txt`: made from botocore's data by `build-data/upstream.py`, which says what a line means.

use std::collections::HashMap;
use std::sync::OnceLock;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) partitions: Vec<Partition>,
    names: HashMap<&'static str, Vec<Destination>>,
}

/// A world of regions of its own.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) id: &'static str,
    pub(super) suffix: &'static str,
    pub(super) dual_suffix: &'static str,
    pub(super) regions: Vec<&'static str>,
}

/// Services that go to the same hosts.
#[derive(Debug, Default)]
pub(super) struct Destination {
    pub(super) services: Vec<Service>,
    hosts: Vec<Host>,
    pub(super) operations: Vec<(&'static str, &'static str)>,
    /// The operations that AWS has over HTTP/2 alone, likewise.
    pub(super) streams: Vec<(&'static str, &'static str)>,
}

/// What may tell one service from others that sign with the same name.
#[derive(Debug)]
pub(super) struct Service {
    /// As user agents write it (`api/...`).
    pub(super) id: &'static str,
    pub(super) target_prefix: Option<&'static str>,
    pub(super) takes_forms: bool,
}

#[derive(Debug)]
struct Host {
    /// Separated by commas; `*` stands for all.
    partitions: &'static str,
    template: &'static str,
    signs: Option<&'static str>,
    exceptions: Vec<Exception>,
}

#[derive(Debug)]
struct Exception {
    region: &'static str,
    host: &'static str,
    signs: Option<&'static str>,
}

/// The table of this version.
pub(super) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::read(include_str!("table.txt")).0)
}

impl Table {
    /// Reads it, and says how many lines it did not understand.
    fn read(text: &'static str) -> (Self, usize) {
        let (mut table, mut name, mut odd) = (Self::default(), "", 0);
        for line in text.lines() {
            if let Some(next) = line.strip_prefix("name ") {
                name = next;
            } else if table.take(name, line).is_none() {
                odd += 1;
            }
        }
        (table, odd)
    }

    fn take(&mut self, name: &'static str, line: &'static str) -> Option<()> {
        let mut words = line.split(' ');
        match words.next()? {
            "partition" => self.partitions.push(Partition {
                id: words.next()?,
                suffix: words.next()?,
                dual_suffix: words.next()?,
                regions: words.collect(),
            }),
            "service" => {
                let destinations = self.names.entry(name).or_default();
                // Services stand before the hosts that they share.
                if destinations.last().is_none_or(|last| !last.hosts.is_empty()) {
                    destinations.push(Destination::default());
                }
                let service = Service {
                    id: words.next()?,
                    target_prefix: words.next().filter(|prefix| *prefix != "-"),
                    takes_forms: words.next() == Some("query"),
                };
                destinations.last_mut()?.services.push(service);
            }
            "host" => {
                let host = Host {
                    partitions: words.next()?,
                    template: words.next()?,
                    signs: words.next().filter(|region| *region != "-"),
                    exceptions: words.map(Exception::read).collect::<Option<_>>()?,
                };
                self.names.get_mut(name)?.last_mut()?.hosts.push(host);
            }
            kind @ ("op" | "stream") => {
                let operation = (words.next()?, words.next()?);
                let destination = self.names.get_mut(name)?.last_mut()?;
                match kind {
                    "op" => destination.operations.push(operation),
                    _ => destination.streams.push(operation),
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Where requests that are signed with a name may go; none if the name is unknown.
    pub(super) fn destinations(&self, signing_name: &str) -> &[Destination] {
        self.names.get(signing_name).map_or(&[], Vec::as_slice)
    }

    /// The partition that a region is of.
    pub(super) fn partition_of(&self, region: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.regions.contains(&region))
    }
}

impl Exception {
    fn read(word: &'static str) -> Option<Self> {
        let (region, rest) = word.split_once('=')?;
        let (host, signs) = rest.split_once(',')?;
        Some(Self { region, host, signs: Some(signs).filter(|signs| *signs != "-") })
    }
}

impl Destination {
    /// The host in a region, and the region to sign for; `None` if the partition does not have it.
    pub(super) fn host(&self, partition: &Partition, region: &str) -> Option<(String, String)> {
        let is_of = |host: &&Host| {
            host.partitions == "*" || host.partitions.split(',').any(|id| id == partition.id)
        };
        let host = self.hosts.iter().find(is_of)?;
        let exception = host.exceptions.iter().find(|exception| exception.region == region);
        let (template, signs) = match exception {
            Some(exception) => (exception.host, exception.signs),
            None => (host.template, host.signs),
        };
        let name = template
            .replace("{region}", region)
            .replace("{suffix}", partition.suffix)
            .replace("{dual}", partition.dual_suffix);
        Some((name, signs.unwrap_or(region).to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        let (table, odd) = Table::read(include_str!("table.txt"));
        assert_eq!(odd, 0);
        assert!(table.names.len() > 350 && table.partitions.len() >= 8);
        for (name, destinations) in &table.names {
            assert!(!destinations.is_empty(), "{name}");
            for destination in destinations {
                assert!(
                    !destination.services.is_empty() && !destination.hosts.is_empty(),
                    "{name}"
                );
            }
        }
        assert_eq!(Table::read("host aws a.{region}.{suffix} -\nnonsense").1, 2);
    }

    #[test]
    fn a_host_is_always_below_its_partitions_suffixes() {
        let table = table();
        for partition in &table.partitions {
            for destination in table.names.values().flatten() {
                for region in &partition.regions {
                    let Some((host, signs)) = destination.host(partition, region) else { continue };
                    let is_below = |suffix| host.ends_with(&format!(".{suffix}"));
                    assert!(
                        is_below(partition.suffix) || is_below(partition.dual_suffix),
                        "{host}"
                    );
                    assert!(table.partition_of(&signs).is_some(), "{host} {signs}");
                    assert!(!host.replace("{account}", "").contains(['{', '}', '/', ':', '@']));
                }
            }
        }
    }
}
