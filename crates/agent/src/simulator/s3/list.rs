//! Lists of objects, both versions.

use std::ops::Bound;

use super::super::answer::Document;
use super::super::message::ApiError;
use super::super::sigv4::encode;
use super::objects::quoted;
use super::store::{Bucket, Object};
use super::{Call, xml};

/// A page of a list.
struct Page<'a> {
    objects: Vec<(&'a str, &'a Object)>,
    /// What the keys have in common up to the delimiter.
    prefixes: Vec<String>,
    /// The key or common prefix after which the next page goes on, if there is one.
    next: Option<String>,
}

impl<'a> Page<'a> {
    fn of(bucket: &'a Bucket, prefix: &str, delimiter: &str, after: &str, max: usize) -> Self {
        let mut page = Page { objects: Vec::new(), prefixes: Vec::new(), next: None };
        // A common prefix as the place to go on from leaves out all that begins with it.
        let done = |key: &str| {
            !delimiter.is_empty() && after.ends_with(delimiter) && key.starts_with(after)
        };
        let start = if after.is_empty() { Bound::Unbounded } else { Bound::Excluded(after) };
        let mut last = String::new();
        for (key, object) in bucket.objects.range::<str, _>((start, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(prefix).filter(|_| !done(key)) else { continue };
            let at = if delimiter.is_empty() { None } else { rest.find(delimiter) };
            let common = at.map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]));
            if common.is_some() && common.as_ref() == page.prefixes.last() {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == max {
                page.next = Some(last);
                break;
            }
            match common {
                Some(common) => {
                    last.clone_from(&common);
                    page.prefixes.push(common);
                }
                None => {
                    last.clone_from(key);
                    page.objects.push((key, object));
                }
            }
        }
        page
    }
}

pub(super) fn list(bucket: &Bucket, call: &Call) -> Result<Document, ApiError> {
    let get = |name: &str| call.param(name).unwrap_or_default();
    let second = get("list-type") == "2";
    let max = match get("max-keys") {
        "" => 1000,
        text => text.parse::<usize>().map_err(|_| {
            ApiError::new(400, "InvalidArgument", "Provided max-keys not an integer")
        })?,
    };
    let token = get("continuation-token");
    // Opaque to clients, which is why it is not simply the key.
    let after = match (second, token) {
        (true, "") => get("start-after").to_owned(),
        (true, token) => key_of(token)?,
        (false, _) => get("marker").to_owned(),
    };
    let (prefix, delimiter) = (get("prefix"), get("delimiter"));
    let page = Page::of(bucket, prefix, delimiter, &after, max.min(1000));
    let as_url = get("encoding-type") == "url";
    let shown = |text: &str| if as_url { encode(text, true) } else { text.to_owned() };

    let mut text = xml::element("Name", &call.bucket) + &xml::element("Prefix", &shown(prefix));
    if !delimiter.is_empty() {
        text += &xml::element("Delimiter", &shown(delimiter));
    }
    if as_url {
        text += "<EncodingType>url</EncodingType>";
    }
    text += &xml::element("MaxKeys", &max.to_string());
    text += &xml::element("IsTruncated", if page.next.is_some() { "true" } else { "false" });
    if second {
        let count = page.objects.len() + page.prefixes.len();
        text += &xml::element("KeyCount", &count.to_string());
        if !token.is_empty() {
            text += &xml::element("ContinuationToken", token);
        }
        if let Some(next) = &page.next {
            text += &xml::element("NextContinuationToken", &hex::encode(next));
        }
    } else {
        text += &xml::element("Marker", &shown(&after));
        if let Some(next) = &page.next {
            text += &xml::element("NextMarker", &shown(next));
        }
    }
    for (key, object) in &page.objects {
        text += &contents(&shown(key), object, !second);
    }
    for prefix in &page.prefixes {
        let prefix = xml::element("Prefix", &shown(prefix));
        text += &format!("<CommonPrefixes>{prefix}</CommonPrefixes>");
    }
    Ok(Document::xml(xml::root("ListBucketResult", &text)))
}

fn contents(key: &str, object: &Object, with_owner: bool) -> String {
    let owner = if with_owner { xml::owner("Owner") } else { String::new() };
    let texts = xml::element("Key", key)
        + &xml::element("LastModified", &xml::date(object.modified))
        + &xml::element("ETag", &quoted(&object.etag))
        + &xml::element("Size", &object.data.len().to_string())
        + &owner
        + "<StorageClass>STANDARD</StorageClass>";
    format!("<Contents>{texts}</Contents>")
}

fn key_of(token: &str) -> Result<String, ApiError> {
    let bytes = hex::decode(token).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        ApiError::new(400, "InvalidArgument", "The continuation token provided is incorrect")
    })
}
