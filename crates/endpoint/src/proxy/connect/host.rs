//! Which hosts are AWS's, and which of these anybody can have.
//!
//! A request that is signed for a host goes there, and nowhere else is it worth anything. But what a load balancer, an
//! instance or a static site below `amazonaws.com` answers is its owner's, who may be anybody.

use http::uri::Authority;

/// What names of AWS's end in. The certificates of an [`Authority`](super::Authority) hold for these alone.
pub(super) const SUFFIXES: [&str; 4] = ["amazonaws.com", "amazonaws.com.cn", "api.aws", "on.aws"];

/// The one port.
pub(super) const PORT: u16 = 443;

/// Below these are hosts of customers, whose servers may be private ones.
const CUSTOMERS: [&str; 4] = ["compute", "elb", "s3-website", "vpce-svc"];

/// Applications of customers, which requests are signed for: the part of the name, and the signing name.
const APPLICATIONS: [(&str, &str); 3] = [
    ("execute-api", "execute-api"),
    ("lambda-url", "lambda"),
    ("vpc-lattice-svcs", "vpc-lattice-svcs"),
];

/// Whose a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Kind {
    /// AWS's own.
    Aws,
    /// A customer's application, behind a service of that signing name.
    Of(&'static str),
    /// Anybody's.
    Other,
}

/// Tells by the name, which [`parse`] gave.
pub(in crate::proxy) fn kind(host: &str) -> Kind {
    let below = |suffix: &&str| host.strip_suffix(*suffix)?.strip_suffix('.');
    let Some(name) = SUFFIXES.iter().find_map(below) else { return Kind::Other };
    let labels: Vec<&str> = name.split('.').collect();
    // Of a customer's host the last two are what it is and its region, in either order. What a plain host is stands first.
    let last = &labels[labels.len().saturating_sub(2).max(1)..];
    let is_customers = |label: &&str| {
        let rest = CUSTOMERS.iter().filter_map(|own| label.strip_prefix(own));
        rest.into_iter().any(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if last.iter().any(is_customers) {
        return Kind::Other;
    }
    let application =
        APPLICATIONS.iter().find(|(part, _)| labels.iter().skip(1).any(|l| l == part));
    application.map_or(Kind::Aws, |(_, service)| Kind::Of(service))
}

/// Whether a name leads to a private address by its nature: endpoints that a VPC has for itself.
pub(in crate::proxy) fn is_vpc_endpoint(host: &str) -> bool {
    kind(host) != Kind::Other && host.ends_with(".vpce.amazonaws.com")
}

/// The host of `host:443`, in small letters. `None` for other ports, addresses, user names, and what is no name.
pub(in crate::proxy) fn parse(authority: &Authority) -> Option<String> {
    let host = authority.as_str().strip_suffix(":443")?;
    is_name(host).then(|| host.to_ascii_lowercase())
}

/// The host of a URL of plain HTTP, which goes to port 80 unless it says so.
pub(in crate::proxy) fn parse_plain(authority: &Authority) -> Option<String> {
    let host = authority.as_str();
    let host = host.strip_suffix(":80").unwrap_or(host);
    is_name(host).then(|| host.to_ascii_lowercase())
}

/// Whether a `Host` names that host, and the port that it is reached at.
pub(in crate::proxy) fn is_same(text: &str, host: &str) -> bool {
    let name = text.strip_suffix(":443").unwrap_or(text);
    name.eq_ignore_ascii_case(host)
}

/// A name of several labels (RFC 1123, with the underscores of old buckets), and not what some take for an address.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(is_plain)
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253
        && host.contains('.')
        && host.split('.').all(is_label)
        && last.bytes().all(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_aws_are_told_from_those_of_customers() {
        for host in [
            "sts.amazonaws.com",
            "bucket.s3.eu-west-1.amazonaws.com",
            "my_old.bucket.s3.amazonaws.com",
            "123456789012.s3-control.eu-west-1.amazonaws.com",
            "ap-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
            "sync-states.eu-west-1.amazonaws.com",
            "compute-optimizer.us-east-1.amazonaws.com",
            "queue.amazonaws.com",
            "sqs.cn-north-1.amazonaws.com.cn",
            "lambda.eu-west-1.api.aws",
            "search-d-abc.eu-west-1.es.amazonaws.com",
            "bucket.vpce-0a-1b.s3.eu-west-1.vpce.amazonaws.com",
        ] {
            assert_eq!(kind(host), Kind::Aws, "{host}");
        }
        for host in [
            "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com",
            "ec2-1-2-3-4.compute-1.amazonaws.com",
            "ec2-1-2-3-4.cn-north-1.compute.amazonaws.com.cn",
            "lb-1.eu-west-1.elb.amazonaws.com",
            "lb-1.elb.eu-west-1.amazonaws.com",
            "site.s3-website-eu-west-1.amazonaws.com",
            "site.s3-website.eu-central-1.amazonaws.com",
            "amazonaws.com",
            "amazonaws.com.evil.example",
            "evilamazonaws.com",
            "example.com",
            "x.aws",
            "x.amazonaws.com.de",
        ] {
            assert_eq!(kind(host), Kind::Other, "{host}");
        }
        assert_eq!(kind("a1.execute-api.eu-west-1.amazonaws.com"), Kind::Of("execute-api"));
        assert_eq!(kind("a1.lambda-url.eu-west-1.on.aws"), Kind::Of("lambda"));
        assert!(is_vpc_endpoint("vpce-1.sqs.eu-west-1.vpce.amazonaws.com"));
        assert!(!is_vpc_endpoint("sqs.eu-west-1.amazonaws.com"));
    }

    #[test]
    fn a_target_is_a_name_and_the_one_port() {
        let parsed = |text: &str| text.parse().ok().and_then(|authority| parse(&authority));
        assert_eq!(parsed("S3.Amazonaws.com:443").as_deref(), Some("s3.amazonaws.com"));
        for bad in [
            "s3.amazonaws.com",
            "s3.amazonaws.com:22",
            "s3.amazonaws.com:0443",
            "s3.amazonaws.com.:443",
            "user@s3.amazonaws.com:443",
            "s3.amazonaws.com:443@evil.example:443",
            "127.0.0.1:443",
            "127.1:443",
            "0x7f.1:443",
            "2130706433:443",
            "[::1]:443",
            "localhost:443",
            "a..b.com:443",
            "-",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
        let plain = |text: &str| text.parse().ok().and_then(|authority| parse_plain(&authority));
        assert_eq!(plain("S3.amazonaws.com:80").as_deref(), Some("s3.amazonaws.com"));
        assert_eq!((plain("s3.amazonaws.com:8080"), plain("a@b.com")), (None, None));
        assert!(is_same("S3.amazonaws.com:443", "s3.amazonaws.com"));
        assert!(!is_same("s3.amazonaws.com:80", "s3.amazonaws.com"));
    }
}
