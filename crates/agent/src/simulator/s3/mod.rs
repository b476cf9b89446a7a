//! S3, as much of it as clients need to put, get, list and delete, with buckets in the path or in the host.

mod list;
mod multipart;
mod objects;
mod store;
mod xml;

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use jiff::Timestamp;

pub(super) use self::store::Store;
use super::admission::Caller;
use super::answer::{Answer, Document};
use super::message::{ApiError, Request};
use super::sigv4::{decode, pairs};
use super::state::Simulator;

/// A request to S3, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub(super) bucket: String,
    pub(super) key: String,
    /// Decoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    /// Decoded too, if it came in chunks.
    pub(super) body: Bytes,
}

/// The bucket that a `Host` begins with: `bucket.s3.eu-west-1.amazonaws.com`.
fn bucket_of_host(parts: &Parts) -> Option<&str> {
    let host = parts.headers.get(http::header::HOST)?.to_str().ok()?;
    let name = host.strip_suffix(":443").unwrap_or(host).strip_suffix(".amazonaws.com")?;
    let (bucket, rest) = name.rsplit_once(".s3")?;
    let is_s3 = rest.is_empty() || rest.starts_with('.') || rest.starts_with("express-");
    is_s3.then_some(bucket)
}

impl Call {
    /// A call as its head describes it, and the action's name; without its body.
    pub(super) fn read(parts: &Parts) -> (&'static str, Self) {
        let path = parts.uri.path();
        let (bucket, key) = match bucket_of_host(parts) {
            Some(bucket) => (bucket, path.strip_prefix('/').unwrap_or(path)),
            None => {
                let path = path.trim_start_matches('/');
                path.split_once('/').unwrap_or((path, ""))
            }
        };
        let call = Self {
            bucket: decode(bucket, false),
            key: decode(key, false),
            query: pairs(parts.uri.query().unwrap_or_default()),
            headers: parts.headers.clone(),
            body: Bytes::new(),
        };
        (call.action(parts.method.as_str()), call)
    }

    /// Adds the body, and the headers that came behind it.
    pub(super) fn take_body(&mut self, body: Bytes, trailers: &[(String, String)]) {
        self.body = body;
        for (name, value) in trailers {
            let name = http::HeaderName::try_from(name.as_str());
            if let (Ok(name), Ok(value)) = (name, http::HeaderValue::try_from(value.as_str())) {
                self.headers.insert(name, value);
            }
        }
    }

    /// By the method, what the path names, and the name of a subresource in the query.
    fn action(&self, method: &str) -> &'static str {
        // What else may stand in a query says how, not what.
        const SUBRESOURCES: [&str; 23] = [
            "accelerate",
            "acl",
            "analytics",
            "cors",
            "delete",
            "encryption",
            "inventory",
            "lifecycle",
            "location",
            "logging",
            "metrics",
            "notification",
            "object-lock",
            "policy",
            "replication",
            "requestPayment",
            "restore",
            "select",
            "tagging",
            "uploadId",
            "uploads",
            "versioning",
            "versions",
        ];
        let subresource = SUBRESOURCES.into_iter().find(|name| self.param(name).is_some());
        match (method, self.bucket.is_empty(), self.key.is_empty(), subresource) {
            ("GET", true, _, None) => "ListBuckets",
            ("PUT", false, true, None) => "CreateBucket",
            ("HEAD", false, true, None) => "HeadBucket",
            ("DELETE", false, true, None) => "DeleteBucket",
            ("GET", false, true, Some("location")) => "GetBucketLocation",
            ("GET", false, true, Some("versioning")) => "GetBucketVersioning",
            ("GET", false, true, Some("uploads")) => "ListMultipartUploads",
            ("POST", false, true, Some("delete")) => "DeleteObjects",
            ("GET", false, true, None) if self.param("list-type") == Some("2") => "ListObjectsV2",
            ("GET", false, true, None) => "ListObjects",
            ("PUT", false, false, None) if self.header("x-amz-copy-source").is_some() => {
                "CopyObject"
            }
            ("PUT", false, false, None) => "PutObject",
            ("GET", false, false, None) => "GetObject",
            ("HEAD", false, false, None) => "HeadObject",
            ("DELETE", false, false, None) => "DeleteObject",
            ("POST", false, false, Some("uploads")) => "CreateMultipartUpload",
            ("PUT", false, false, Some("uploadId"))
                if self.header("x-amz-copy-source").is_some() =>
            {
                "UploadPartCopy"
            }
            ("PUT", false, false, Some("uploadId")) => "UploadPart",
            ("GET", false, false, Some("uploadId")) => "ListParts",
            ("POST", false, false, Some("uploadId")) => "CompleteMultipartUpload",
            ("DELETE", false, false, Some("uploadId")) => "AbortMultipartUpload",
            _ => "NotImplemented",
        }
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the log calls the thing acted on: `bucket/key`.
    pub(super) fn target(&self) -> String {
        [self.bucket.as_str(), self.key.as_str()].join("/").trim_end_matches('/').to_owned()
    }
}

impl Simulator {
    pub(super) fn s3(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &Request,
        call: &Call,
    ) -> Result<Answer, ApiError> {
        let action = request.action.as_str();
        let resource = format!("\"arn:{}:s3:::{}\"", self.behaviour.partition, call.target());
        self.authorize_data(caller, &format!("s3:{action}"), &resource)?;
        let modified = self.server_time(now);
        let region = request.region();
        match action {
            "ListBuckets" => Ok(Document::xml(self.s3.buckets_xml()).into()),
            "CreateBucket" => self.create_bucket(call, region, modified),
            _ => self.in_bucket(action, call, modified).map(Answer::from),
        }
    }

    fn create_bucket(
        &mut self,
        call: &Call,
        region: &str,
        created: Timestamp,
    ) -> Result<Answer, ApiError> {
        let name = &call.bucket;
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let edges = [name.chars().next(), name.chars().last()];
        if !(3..=63).contains(&name.len())
            || !name.chars().all(|c| letter(c) || c == '.' || c == '-')
            || !edges.into_iter().flatten().all(letter)
        {
            let message = "The specified bucket is not valid.";
            return Err(ApiError::new(400, "InvalidBucketName", message));
        }
        // In its first region AWS lets the owner make a bucket again.
        if !self.store().create(name, region, created) && region != "us-east-1" {
            let message = "Your previous request to create the named bucket succeeded and you \
                           already own it.";
            return Err(ApiError::new(409, "BucketAlreadyOwnedByYou", message));
        }
        Ok(Document::empty(200).with("location", &format!("/{name}")).into())
    }

    fn in_bucket(
        &mut self,
        action: &str,
        call: &Call,
        now: Timestamp,
    ) -> Result<Document, ApiError> {
        let region = self.s3.bucket(&call.bucket)?.region.clone();
        match action {
            "HeadBucket" => Ok(Document::empty(200).with("x-amz-bucket-region", &region)),
            "GetBucketLocation" => Ok(Document::xml(xml::location(&region))),
            "GetBucketVersioning" => Ok(Document::xml(xml::root("VersioningConfiguration", ""))),
            "DeleteBucket" => self.store().delete(&call.bucket).map(|()| Document::empty(204)),
            "ListObjects" | "ListObjectsV2" => list::list(self.s3.bucket(&call.bucket)?, call),
            "PutObject" => objects::put(self.store(), call, now),
            "CopyObject" => objects::copy(self.store(), call, now),
            "GetObject" | "HeadObject" => objects::get(self.s3.bucket(&call.bucket)?, call),
            "DeleteObject" => objects::delete(self.store(), call),
            "DeleteObjects" => objects::delete_many(self.store(), call),
            "CreateMultipartUpload" => {
                let id = self.lot.upload_id(self.behaviour.seed);
                multipart::create(self.store(), call, id, now)
            }
            "UploadPart" => multipart::upload(self.store(), call, now),
            "ListParts" => multipart::list_parts(self.s3.bucket(&call.bucket)?, call),
            "ListMultipartUploads" => {
                Ok(multipart::list_uploads(self.s3.bucket(&call.bucket)?, call))
            }
            "CompleteMultipartUpload" => multipart::complete(self.store(), call, now),
            "AbortMultipartUpload" => multipart::abort(self.store(), call),
            _ => {
                let message = "A header you provided implies functionality that is not implemented";
                Err(ApiError::new(501, "NotImplemented", message))
            }
        }
    }

    fn store(&mut self) -> &mut Store {
        std::sync::Arc::make_mut(&mut self.s3)
    }
}
