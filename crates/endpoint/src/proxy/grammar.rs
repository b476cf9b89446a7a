//! The grammar of what a signature consists of: scopes, names of headers, digits. The same in a header and in a URL.

use super::canonical::AUTHORITY;
use super::key::Scope;
use super::payload::is_digits;
use super::refusal::Refusal;

/// Names of headers and their number, longer than any SDK's.
const SIGNED_HEADERS_CHARS_MAX: usize = 8192;

/// `AKID/20130524/us-east-1/s3/aws4_request`
pub(super) fn scoped(credential: &str) -> Result<(&str, Scope), Refusal> {
    let mut rest = Some(credential);
    let mut next = || {
        let (part, behind) = cut(rest.ok_or(Refusal::Malformed)?, b'/');
        rest = behind;
        Ok::<_, Refusal>(part)
    };
    let (key_id, day, region, service, end) = (next()?, next()?, next()?, next()?, next()?);
    if end != "aws4_request" || rest.is_some() {
        return Err(Refusal::Malformed);
    }
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !(3..=128).contains(&key_id.len()) || !key_id.bytes().all(is_id) {
        return Err(Refusal::UnknownKey);
    }
    let is_day = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
    if !is_day || !is_region(region) || !is_service(service) {
        return Err(Refusal::BadScope);
    }
    let [day, region, service] = [day, region, service].map(str::to_owned);
    Ok((key_id, Scope { day, region, service }))
}

/// What stands before a mark of ASCII, and what behind it.
pub(super) fn cut(text: &str, mark: u8) -> (&str, Option<&str>) {
    match memchr::memchr(mark, text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// The names of signed headers, with `;` between them.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (name, behind) = cut(rest?, b';');
        rest = behind;
        Some(name)
    })
}

/// `^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$`, as all regions of AWS are: a part of a host's name will be made from it.
fn is_region(text: &str) -> bool {
    let mut parts = text.as_bytes().split(|byte| *byte == b'-');
    let is_word = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_lowercase);
    let first = parts.next().is_some_and(|part| is_word(part) && (2..=4).contains(&part.len()));
    let last = parts.next_back();
    let last = last
        .is_some_and(|part| (1..=2).contains(&part.len()) && part.iter().all(u8::is_ascii_digit));
    let mut words = parts.peekable();
    text.len() <= 32 && first && last && words.peek().is_some() && words.all(is_word)
}

/// A signing name: letters, digits and `-`.
fn is_service(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(is_name) && !text.starts_with('-')
}

/// 64 digits in small letters.
pub(super) fn signature(text: &str) -> Result<&str, Refusal> {
    let is_good = text.len() == 64 && is_digits(text.as_bytes());
    is_good.then_some(text).ok_or(Refusal::Malformed)
}

/// Names in small letters and in order, each once. AWS wants them so, and all SDKs send them so.
pub(super) fn signed_headers(text: &str) -> Result<&str, Refusal> {
    let is_char = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.!#$%&'*+^`|~".contains(&byte)
    };
    let is_name = |name: &[u8]| !name.is_empty() && name.iter().all(|byte| is_char(*byte));
    let mut last = "";
    let is_good = text.len() <= SIGNED_HEADERS_CHARS_MAX
        && names(text).all(|name| {
            let before = std::mem::replace(&mut last, name);
            before < name && (name == AUTHORITY || is_name(name.as_bytes()))
        });
    is_good.then_some(text).ok_or(Refusal::Malformed)
}
