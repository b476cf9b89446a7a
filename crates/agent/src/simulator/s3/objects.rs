//! Objects: put, get, copy, delete.

use std::ops::Range;
use std::sync::Arc;

use data_encoding::BASE64;
use jiff::Timestamp;
use md5::{Digest, Md5};

use super::super::answer::Document;
use super::super::message::ApiError;
use super::super::sigv4::decode;
use super::store::{Bucket, Object, Store};
use super::{Call, xml};

/// What is kept with an object and given back with it.
const KEPT: [&str; 6] = [
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
];

/// The headers to keep with an object.
pub(super) fn kept_headers(call: &Call) -> Vec<(String, String)> {
    let kept = |name: &str| KEPT.contains(&name) || name.starts_with("x-amz-meta-");
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let pairs = call.headers.iter().map(|(name, value)| (name.as_str(), text(value)));
    let checksum = |name: &str| is_checksum(name);
    pairs
        .filter(|(name, _)| kept(name) || checksum(name))
        .map(|(name, value)| match name {
            // That is how it came, not what it is.
            "content-encoding" => {
                let own = value.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked");
                (name.to_owned(), own.collect::<Vec<_>>().join(","))
            }
            name => (name.to_owned(), value),
        })
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// `x-amz-checksum-crc32` and the like, not the two that only say which.
fn is_checksum(name: &str) -> bool {
    name.strip_prefix("x-amz-checksum-")
        .is_some_and(|which| !matches!(which, "algorithm" | "mode" | "type"))
}

/// `Content-MD5`, if it is given, has to be the body's.
pub(super) fn check_md5(call: &Call) -> Result<(), ApiError> {
    let right = BASE64.encode(&Md5::digest(&call.body));
    match call.header("content-md5") {
        Some(given) if given != right => {
            let message = "The Content-MD5 you specified did not match what we received.";
            Err(ApiError::new(400, "BadDigest", message))
        }
        _ => Ok(()),
    }
}

pub(super) fn put(store: &mut Store, call: &Call, now: Timestamp) -> Result<Document, ApiError> {
    check_md5(call)?;
    store.check_room(call.body.len())?;
    let bucket = store.bucket_mut(&call.bucket)?;
    let present = bucket.objects.get(&call.key);
    let wanted = |name: &str| call.header(name).map(|tag| tag.trim_matches('"'));
    let absent_only = wanted("if-none-match") == Some("*");
    let same_only = wanted("if-match");
    if (absent_only && present.is_some())
        || same_only.is_some_and(|tag| present.is_none_or(|object| object.etag != tag))
    {
        return Err(precondition_failed());
    }
    let object = Object::new(call.body.clone(), kept_headers(call), now);
    let mut answer = Document::empty(200).with("etag", &quoted(&object.etag));
    for (name, value) in object.headers.iter().filter(|(name, _)| is_checksum(name)) {
        answer = answer.with(name, value);
    }
    bucket.objects.insert(call.key.clone(), Arc::new(object));
    Ok(answer)
}

pub(super) fn get(bucket: &Bucket, call: &Call) -> Result<Document, ApiError> {
    let object = bucket.object(&call.key)?;
    let wanted = |name: &str| call.header(name).map(|tag| tag.trim_matches('"'));
    if wanted("if-match").is_some_and(|tag| tag != object.etag) {
        return Err(precondition_failed());
    }
    if wanted("if-none-match").is_some_and(|tag| tag == object.etag) {
        return Ok(Document::empty(304).with("etag", &quoted(&object.etag)));
    }
    let whole = object.data.len();
    let range = call.header("range").and_then(|text| range(text, whole)).transpose()?;
    let mut answer = match range.clone() {
        None => Document::new(200, object.data.clone()),
        Some(range) => {
            let told = format!("bytes {}-{}/{whole}", range.start, range.end.saturating_sub(1));
            Document::new(206, object.data.slice(range)).with("content-range", &told)
        }
    };
    let checked = range.is_none() && call.header("x-amz-checksum-mode").is_some();
    for (name, value) in object.headers.iter().filter(|(name, _)| checked || !is_checksum(name)) {
        answer = answer.with(name, value);
    }
    for name in ["content-type", "content-disposition", "content-encoding", "cache-control"] {
        if let Some(value) = call.param(&format!("response-{name}")) {
            answer = answer.with(name, value);
        }
    }
    Ok(answer
        .with("etag", &quoted(&object.etag))
        .with("accept-ranges", "bytes")
        .with("last-modified", &xml::http_date(object.modified)))
}

/// `bytes=0-9`, `bytes=10-` or `bytes=-10`; anything else is as if it were not there.
fn range(text: &str, length: usize) -> Option<Result<Range<usize>, ApiError>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(last)) if first.is_empty() => length.saturating_sub(last)..length,
        _ => return None,
    };
    if range.is_empty() {
        let message = "The requested range is not satisfiable";
        return Some(Err(ApiError::new(416, "InvalidRange", message)));
    }
    Some(Ok(range))
}

pub(super) fn copy(store: &mut Store, call: &Call, now: Timestamp) -> Result<Document, ApiError> {
    let source = decode(call.header("x-amz-copy-source").unwrap_or_default(), false);
    let source = source.trim_start_matches('/').split('?').next().unwrap_or_default();
    let (bucket, key) = source.split_once('/').unwrap_or((source, ""));
    let from = Arc::clone(store.bucket(bucket)?.object(key)?);
    store.check_room(from.data.len())?;
    let replaces = call.header("x-amz-metadata-directive") == Some("REPLACE");
    let headers = if replaces { kept_headers(call) } else { from.headers.clone() };
    let (data, etag) = (from.data.clone(), from.etag.clone());
    let copy = Object { data, etag, modified: now, headers };
    let result =
        xml::element("LastModified", &xml::date(now)) + &xml::element("ETag", &quoted(&copy.etag));
    store.bucket_mut(&call.bucket)?.objects.insert(call.key.clone(), Arc::new(copy));
    Ok(Document::xml(xml::root("CopyObjectResult", &result)))
}

pub(super) fn delete(store: &mut Store, call: &Call) -> Result<Document, ApiError> {
    store.bucket_mut(&call.bucket)?.objects.remove(&call.key);
    Ok(Document::empty(204))
}

pub(super) fn delete_many(store: &mut Store, call: &Call) -> Result<Document, ApiError> {
    check_md5(call)?;
    let order = xml::read(&call.body)?;
    let quiet = order.iter().any(|(name, value)| name == "Quiet" && value == "true");
    let bucket = store.bucket_mut(&call.bucket)?;
    let mut deleted = String::new();
    for (_, key) in order.iter().filter(|(name, _)| name == "Key") {
        bucket.objects.remove(key);
        if !quiet {
            deleted += &format!("<Deleted>{}</Deleted>", xml::element("Key", key));
        }
    }
    Ok(Document::xml(xml::root("DeleteResult", &deleted)))
}

pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn precondition_failed() -> ApiError {
    let message = "At least one of the pre-conditions you specified did not hold";
    ApiError::new(412, "PreconditionFailed", message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_is_there() {
        let of_ten = |text| range(text, 10).map(|range| range.map_err(|error| error.status));
        assert_eq!(of_ten("bytes=0-3"), Some(Ok(0..4)));
        assert_eq!(of_ten("bytes=7-99"), Some(Ok(7..10)));
        assert_eq!(of_ten("bytes=7-"), Some(Ok(7..10)));
        assert_eq!(of_ten("bytes=-3"), Some(Ok(7..10)));
        assert_eq!(of_ten("bytes=-30"), Some(Ok(0..10)));
        assert_eq!(of_ten("bytes=10-"), Some(Err(416)));
        for odd in ["bytes=a-3", "bytes=1-2,4-5", "lines=1-2", "bytes=-"] {
            assert_eq!(of_ten(odd), None, "{odd}");
        }
    }
}
