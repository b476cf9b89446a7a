//! Where a verified request goes: to the server that was configured, where the table says, or to the host that its program named.

use std::borrow::Cow;

use http::header::USER_AGENT;
use http::request::Parts;

use crate::proxy::connect::host::{self, Kind};
use crate::proxy::connect::{Connecting, Way};
use crate::proxy::keys::Pair;
use crate::proxy::refusal::Refusal;
use crate::proxy::upstream::{self, NotRouted, Route};
use crate::proxy::verify::Verified;
use crate::proxy::{names, operations};

/// Whether a profile's programs may send a request to a host that they name.
pub(super) fn check_way(
    connecting: Option<&Connecting>,
    named: &str,
    verified: &Verified,
) -> Result<(), Refusal> {
    let placeholder = verified.placeholder();
    // A tunnel may be older than the configuration.
    let is_allowed = connecting
        .is_some_and(|way| way.profiles.contains(&placeholder.profile) && way.takes(named));
    if !is_allowed {
        return Err(Refusal::ConnectNotAllowed);
    }
    let services = placeholder.services.iter().flatten();
    match host::kind(named) {
        Kind::Aws => Ok(()),
        Kind::Of(service) if services.into_iter().any(|own| own == service) => Ok(()),
        Kind::Of(_) | Kind::Other => Err(Refusal::ServiceNotAllowed),
    }
}

/// Where it goes.
pub(super) struct Routed {
    /// `None`: to the server that was configured.
    pub(super) route: Option<Route>,
    /// AWS has the operation over HTTP/2 alone.
    pub(super) is_stream: bool,
    /// The host is what the program said, and the table has another.
    pub(super) is_named: bool,
}

/// Finds out where it goes.
pub(super) fn route(
    head: &Parts,
    verified: &Verified,
    pair: &Pair,
    way: &Way,
) -> Result<Routed, Refusal> {
    let scope = verified.scope();
    let text = |name| head.headers.get(name).and_then(names::text);
    let agents = match &pair.endpoint {
        // It goes there, whoever sends it.
        Some(_) => Cow::Borrowed(""),
        None => agents(head),
    };
    let asked = upstream::Asked {
        service: &scope.service,
        region: &scope.region,
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        target: text(names::TARGET),
        account: text(names::ACCOUNT),
        is_form: operations::is_form(head),
        user_agent: &agents,
    };
    let is_stream = upstream::is_stream(&asked);
    // It was signed for that host, and is again; AWS knows there whether service and region are right.
    if let Way::Named(named) = way
        // HTTP/2 has one name for whom a request goes to and whom it is for.
        && !(is_stream && pair.endpoint.is_some())
    {
        let found = upstream::route_with(&asked, &pair.regions, &pair.hosts);
        let is_named = !found.is_ok_and(|found| is_of_table(named, &found.host, asked.service));
        let route = Route { host: named.to_string(), sign_region: scope.region.clone() };
        return Ok(Routed { route: Some(route), is_stream, is_named });
    }
    if pair.endpoint.is_some() {
        return Ok(Routed { route: None, is_stream, is_named: false });
    }
    let route =
        upstream::route_with(&asked, &pair.regions, &pair.hosts).map_err(|why| match why {
            NotRouted::Region(_) => Refusal::RegionUnknown,
            NotRouted::Service | NotRouted::Absent(..) | NotRouted::Account => {
                Refusal::ServiceUnknown
            }
        })?;
    Ok(Routed { route: Some(route), is_stream, is_named: false })
}

/// What the program says of itself.
fn agents(head: &Parts) -> Cow<'_, str> {
    let text = |name| head.headers.get(name).and_then(names::text);
    match [text(USER_AGENT), text(names::AMZ_USER_AGENT)] {
        [Some(one), Some(other)] => Cow::Owned([one, other].join(" ")),
        [one, other] => Cow::Borrowed(one.or(other).unwrap_or_default()),
    }
}

/// Whether a program named the host that the table has for what it signed, or a bucket there: a VPC's private DNS leads these
/// names to its own endpoints.
fn is_of_table(named: &str, host: &str, service: &str) -> bool {
    let is_below = |rest: &str| service == "s3" && rest.ends_with('.');
    named.strip_suffix(host).is_some_and(|rest| rest.is_empty() || is_below(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_the_table_has_is_no_less_its_own_for_being_named() {
        let (sts, s3) = ("sts.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com");
        assert!(is_of_table(sts, sts, "sts") && is_of_table(s3, s3, "s3"));
        assert!(is_of_table("my.bucket.s3.eu-west-1.amazonaws.com", s3, "s3"));
        for (named, host, service) in [
            ("x.sts.eu-west-1.amazonaws.com", sts, "sts"),
            ("sts.us-east-1.amazonaws.com", sts, "sts"),
            ("evil-s3.eu-west-1.amazonaws.com", s3, "s3"),
            ("ap-1.op-1.s3-outposts.eu-west-1.amazonaws.com", s3, "s3"),
            ("search-d.eu-west-1.es.amazonaws.com", "es.eu-west-1.amazonaws.com", "es"),
        ] {
            assert!(!is_of_table(named, host, service), "{named}");
        }
    }
}
