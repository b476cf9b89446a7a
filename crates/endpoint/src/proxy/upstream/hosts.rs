//! Hosts that a person added to the table, by signing name.

use std::collections::BTreeMap;

use super::{Route, is_label};

/// What stands for the region in a host.
const REGION: &str = "{region}";

/// Names that lead to this machine or its network, whatever a resolver makes of them (RFC 6761, RFC 6762).
const OWN: [&str; 5] = ["localhost", "localdomain", "local", "internal", "arpa"];

/// Where requests for a service go in the place of AWS's own host: HTTPS, port 443. Addresses, ports and names of this machine
/// are no hosts, and a name that leads to this machine is not connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(BTreeMap<String, String>);

/// Why a host is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// No service can be called so.
    #[error("a key must be a signing name, such as `execute-api`")]
    Service,
    /// It is no name of a host, or one of this machine's.
    #[error(
        "a host must be a public name in small letters, without https:// and a port, such as \"abc123.execute-api.{{region}}.amazonaws.com\""
    )]
    Host,
}

impl Hosts {
    /// Adds one. `{region}` in it stands for the region of a request's signature.
    pub fn add(&mut self, service: &str, host: &str) -> Result<(), BadHost> {
        if !is_label(service) {
            return Err(BadHost::Service);
        }
        let example = host.replace(REGION, "us-east-1");
        let labels: Vec<&str> = example.split('.').collect();
        let last = labels.last().copied().unwrap_or_default();
        let is_host = example.len() <= 253
            && labels.len() >= 2
            && labels.iter().all(|label| is_label(label))
            && !example.bytes().any(|byte| byte.is_ascii_uppercase())
            // Addresses end in a number.
            && last.starts_with(|c: char| c.is_ascii_lowercase())
            && !OWN.contains(&last);
        if !is_host {
            return Err(BadHost::Host);
        }
        self.0.insert(service.to_owned(), host.to_owned());
        Ok(())
    }

    /// Where a request goes. The region has to be one that there is.
    pub(super) fn route(&self, service: &str, region: &str) -> Option<Route> {
        let host = self.0.get(service)?.replace(REGION, region);
        Some(Route { host, sign_region: region.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, NotRouted, route_with};
    use super::*;

    #[test]
    fn only_public_names_are_hosts() {
        let add = |service: &str, host: &str| Hosts::default().add(service, host);
        for good in [
            "abc123.execute-api.{region}.amazonaws.com",
            "{region}.example.com",
            "api.example.com",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(add("execute-api", good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "example",
            "https://example.com",
            "example.com:8443",
            "example.com/path",
            "user@example.com",
            "example.com.",
            ".example.com",
            "exa mple.com",
            "Example.com",
            "127.0.0.1",
            "169.254.169.254",
            "0x7f.1",
            "[::1]",
            "localhost",
            "a.localhost",
            "metadata.google.internal",
            "printer.local",
            "{service}.example.com",
            "{region}",
        ] {
            assert_eq!(add("execute-api", bad), Err(BadHost::Host), "{bad}");
        }
        for bad in ["", "a.b", "a b", "-a"] {
            assert_eq!(add(bad, "example.com"), Err(BadHost::Service), "{bad}");
        }
    }

    #[test]
    fn a_host_that_was_added_goes_before_the_table_and_regions_stay_what_they_are() {
        let mut hosts = Hosts::default();
        hosts.add("execute-api", "abc.execute-api.{region}.amazonaws.com").expect("a host");
        let asked = |service, region| Asked { service, region, path: "/", ..Asked::default() };
        let host = |service, region| {
            route_with(&asked(service, region), &[], &hosts).map(|route| route.host)
        };
        let added = "abc.execute-api.eu-west-1.amazonaws.com".to_owned();
        assert_eq!(host("execute-api", "eu-west-1"), Ok(added));
        assert_eq!(host("sqs", "eu-west-1"), Ok("sqs.eu-west-1.amazonaws.com".to_owned()));
        for region in ["eu-west-99", "attacker.test", "x"] {
            let refused = host("execute-api", region);
            assert!(matches!(refused, Err(NotRouted::Region(_))), "{region}: {refused:?}");
        }
    }
}
