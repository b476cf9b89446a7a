//! Where a request goes: built from the scope of its signature and from what operation it is, never taken over from what
//! its sender says.
//!
//! Only the scope is signed for sure to be meant, and only names and regions of a table become a host. A request cannot
//! lead the proxy to any other.

mod hosts;
mod table;
mod tell;

pub use self::hosts::{BadHost, Hosts};
use self::table::{Partition, table};

/// What tells where a request goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The service of the signature's scope: the signing name.
    pub service: &'a str,
    /// Its region.
    pub region: &'a str,
    /// Such as `POST`.
    pub method: &'a str,
    /// As it came, escapes and all.
    pub path: &'a str,
    /// The same, without the question mark.
    pub query: &'a str,
    /// `X-Amz-Target`.
    pub target: Option<&'a str>,
    /// `x-amz-account-id`, which S3 Control's hosts begin with.
    pub account: Option<&'a str>,
    /// The body or the query is a form with an `Action`.
    pub is_form: bool,
    /// `User-Agent` and `x-amz-user-agent`.
    pub user_agent: &'a str,
}

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The host of AWS; HTTPS, port 443.
    pub host: String,
    /// The region to sign for. Global services are signed for by SDKs with the client's own region when their endpoint is
    /// overridden, and AWS wants another one.
    pub sign_region: String,
}

/// Why it goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRouted {
    /// The scope's region is none that there is.
    #[error("there is no region {0}; hint: name a new one in the profile's `regions`")]
    Region(String),
    /// The scope's service cannot be a part of a host's name.
    #[error("the signature's service is not a name")]
    Service,
    /// The service is not there in the region's partition.
    #[error("{0} is not there in the partition of {1}")]
    Absent(String, String),
    /// S3 Control's hosts begin with an account's digits.
    #[error("a request to S3 Control has to name its account in x-amz-account-id")]
    Account,
}

/// S3 Control's paths begin so. So may a bucket's, but then no account is named.
const S3_CONTROL_PATH: &str = "/v20180820/";

/// The partition of a region. One that this version does not know is good if `more_regions` names it.
fn partition(region: &str, more_regions: &[String]) -> Result<&'static Partition, NotRouted> {
    let table = table();
    table
        .partition_of(region)
        .or_else(|| {
            let is_named = more_regions.iter().any(|named| named == region) && is_region(region);
            let prefix = region.split('-').next().unwrap_or_default();
            // A new region of a partition is named like its others, and the greatest partition stands first.
            let is_like = |known: &&str| known.split('-').next() == Some(prefix);
            let mut partitions = table.partitions.iter();
            partitions.find(|partition| is_named && partition.regions.iter().any(is_like))
        })
        .ok_or_else(|| NotRouted::Region(shown(region)))
}

/// The same, by the hosts that a person added, and then by the table.
pub fn route_with(
    asked: &Asked<'_>,
    more_regions: &[String],
    hosts: &Hosts,
) -> Result<Route, NotRouted> {
    match hosts.route(asked.service, asked.region) {
        Some(route) => partition(asked.region, more_regions).map(|_| route),
        None => route(asked, more_regions),
    }
}

/// Finds the way. Regions that this version does not know are good if `more_regions` names them.
pub fn route(asked: &Asked<'_>, more_regions: &[String]) -> Result<Route, NotRouted> {
    let (table, region) = (table(), asked.region);
    let partition = partition(region, more_regions)?;
    // Directory buckets are in hosts of their own, which the scope does not tell.
    if !is_label(asked.service) || asked.service == "s3express" {
        return Err(NotRouted::Service);
    }
    let destinations = table.destinations(asked.service);
    if destinations.is_empty() {
        // What is not in the table is newer than it, and named by the rule.
        let host = format!("{}.{region}.{}", asked.service.to_ascii_lowercase(), partition.suffix);
        return Ok(Route { host, sign_region: region.to_owned() });
    }
    let destination = match asked.service {
        "s3" => {
            let is_control = asked.path.starts_with(S3_CONTROL_PATH) && asked.account.is_some();
            let id = if is_control { "s3_control" } else { "s3" };
            destinations.iter().find(|one| one.services.iter().any(|service| service.id == id))
        }
        _ => tell::destination(destinations, asked),
    };
    let absent = || NotRouted::Absent(asked.service.to_owned(), region.to_owned());
    let (host, sign_region) =
        destination.and_then(|found| found.host(partition, region)).ok_or_else(absent)?;
    let host = match host.strip_prefix("{account}") {
        None => host,
        Some(rest) => {
            let is_account = |id: &&str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
            format!("{}{rest}", asked.account.filter(is_account).ok_or(NotRouted::Account)?)
        }
    };
    Ok(Route { host, sign_region })
}

/// Whether AWS has the operation over HTTP/2 alone: events go either way while it lasts.
pub fn is_stream(asked: &Asked<'_>) -> bool {
    tell::is_stream(table().destinations(asked.service), asked)
}

/// A region's form: `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let [words @ .., number] = parts.as_slice() else { return false };
    (2..=4).contains(&words.len())
        && words.iter().all(is_word)
        && words[0].len() <= 4
        && text.len() <= 32
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// A label of a host's name (RFC 1123). Some signing names have capitals.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A region that may be anything, as it stands in a message.
fn shown(region: &str) -> String {
    if is_region(region) { region.to_owned() } else { "of that name".to_owned() }
}

#[cfg(test)]
mod tests;
