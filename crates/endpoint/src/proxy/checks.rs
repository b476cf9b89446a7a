//! What is decided of a request before its signature, one rule after the other.

use http::request::Parts;
use jiff::SignedDuration;
use subtle::ConstantTimeEq;

use super::canonical::AUTHORITY;
use super::claim::{Claim, Place};
use super::grammar::names;
use super::key::Scope;
use super::refusal::Refusal;
use super::verify::{Placeholder, Policy};

/// The longest life of a URL of version 4.
const LIFE_MAX: SignedDuration = SignedDuration::from_secs(super::presigned::EXPIRES_SECONDS_MAX);

/// How far from now a request may be signed. AWS has 5 minutes, S3 15.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn host(host: &str, claim: &Claim<'_>, policy: &Policy<'_>) -> Result<(), Refusal> {
    let is_version_2 = matches!(claim.place, Place::UrlVersion2 { .. });
    if !is_version_2 && !claim.covers("host") && !claim.covers(AUTHORITY) {
        return Err(Refusal::HostNotSigned);
    }
    (policy.is_host)(host).then_some(()).ok_or(Refusal::HostNotAllowed)
}

/// Whoever got hold of a signed request could add a header that is not signed, and we would sign it. AWS does not accept
/// that either. What is signed has to be there.
pub(super) fn headers(head: &Parts, claim: &Claim<'_>) -> Result<(), Refusal> {
    if matches!(claim.place, Place::UrlVersion2 { .. }) {
        return Ok(()); // It signs every one of them.
    }
    let mut own = head.headers.keys().filter(|name| name.as_str().starts_with("x-amz-"));
    if own.any(|name| !claim.covers(name.as_str())) {
        return Err(Refusal::HeaderNotSigned);
    }
    let is_dated =
        claim.place != Place::Header || claim.covers("x-amz-date") || claim.covers("date");
    if !is_dated {
        return Err(Refusal::HeaderNotSigned);
    }
    let has_authority = head.uri.authority().is_some();
    let is_there = |name| match name {
        AUTHORITY => has_authority,
        "host" => true,
        // There are few, and a look-up by text hashes it.
        other => head.headers.keys().any(|name| name.as_str() == other),
    };
    names(&claim.signed_headers).all(is_there).then_some(()).ok_or(Refusal::Malformed)
}

pub(super) fn time(claim: &Claim<'_>, policy: &Policy<'_>) -> Result<(), Refusal> {
    let clocks = [SignedDuration::ZERO, policy.upstream_offset];
    let ages = clocks.map(|offset| policy.now.duration_since(claim.at).saturating_add(offset));
    match &claim.place {
        Place::UrlVersion2 { .. } => {
            // Version 2 itself has no longest life.
            return match ages {
                _ if ages.iter().all(|age| *age > SignedDuration::ZERO) => Err(Refusal::Expired),
                _ if ages.iter().all(|age| *age < -LIFE_MAX) => Err(Refusal::Malformed),
                _ => Ok(()),
            };
        }
        _ if !claim.date.starts_with(&claim.scope.day) => return Err(Refusal::BadScope),
        Place::Header if ages.iter().any(|age| age.abs() <= SKEW) => {}
        Place::Url { life, .. } => {
            if ages.iter().all(|age| *age < -SKEW) {
                return Err(Refusal::Skewed);
            }
            if ages.iter().all(|age| *age < -SKEW || age > life) {
                return Err(Refusal::Expired);
            }
        }
        Place::Header => return Err(Refusal::Skewed),
    }
    Ok(())
}

pub(super) fn allowed(scope: &Scope, placeholder: &Placeholder) -> Result<(), Refusal> {
    let is_in = |allowed: &Option<Vec<String>>, name: &String| {
        allowed.as_ref().is_none_or(|allowed| allowed.contains(name))
    };
    if !is_in(&placeholder.services, &scope.service) {
        return Err(Refusal::ServiceNotAllowed);
    }
    is_in(&placeholder.regions, &scope.region).then_some(()).ok_or(Refusal::RegionNotAllowed)
}

/// A placeholder for temporary credentials goes with its token. One that has none is good with any: nothing depends on it.
pub(super) fn token(
    head: &Parts,
    claim: &Claim<'_>,
    placeholder: &Placeholder,
) -> Result<(), Refusal> {
    let Some(token) = &placeholder.token else { return Ok(()) };
    let given = match &claim.place {
        Place::Url { token: Some(token), .. } => Some(token.as_bytes()),
        _ => head.headers.get("x-amz-security-token").map(|value| value.as_bytes()),
    };
    let given = given.ok_or(Refusal::WrongToken)?;
    let is_right: bool = token.expose().as_bytes().ct_eq(given).into();
    is_right.then_some(()).ok_or(Refusal::WrongToken)
}
