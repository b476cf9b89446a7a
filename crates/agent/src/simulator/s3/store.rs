//! Buckets and what is in them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use md5::{Digest, Md5};

use super::super::message::ApiError;
use super::xml;

/// The objects of an account, unfinished uploads included, may be this long together.
const BYTES_MAX: usize = 512 << 20;

/// The buckets of an account. Copies share what is in the objects.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Store {
    buckets: BTreeMap<String, Bucket>,
}

#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) region: String,
    created: Timestamp,
    pub(super) objects: BTreeMap<String, Arc<Object>>,
    pub(super) uploads: BTreeMap<String, Upload>,
}

pub(super) struct Object {
    pub(super) data: Bytes,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) modified: Timestamp,
    /// What was sent along to be given back: the type, metadata, checksums.
    pub(super) headers: Vec<(String, String)>,
}

/// An upload in parts that is not complete.
#[derive(Clone)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) begun: Timestamp,
    pub(super) headers: Vec<(String, String)>,
    pub(super) parts: BTreeMap<u32, Arc<Object>>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let etags = |(key, object): (&String, &Arc<Object>)| format!("{key} {}", object.etag);
        let objects: Vec<_> = self.objects.iter().map(etags).collect();
        let upload = |(id, upload): (&String, &Upload)| format!("{id} {}", upload.parts.len());
        let uploads: Vec<_> = self.uploads.iter().map(upload).collect();
        write!(f, "{} {} {objects:?} {uploads:?}", self.region, self.created)
    }
}

impl Object {
    pub(super) fn new(data: Bytes, headers: Vec<(String, String)>, modified: Timestamp) -> Self {
        let etag = hex::encode(Md5::digest(&data));
        Self { data, etag, modified, headers }
    }
}

impl Store {
    /// False if the bucket was there already.
    pub(super) fn create(&mut self, name: &str, region: &str, created: Timestamp) -> bool {
        let new = !self.buckets.contains_key(name);
        self.buckets.entry(name.to_owned()).or_insert_with(|| Bucket {
            region: region.to_owned(),
            created,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
        });
        new
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<(), ApiError> {
        if !self.bucket(name)?.objects.is_empty() {
            let message = "The bucket you tried to delete is not empty";
            return Err(ApiError::new(409, "BucketNotEmpty", message));
        }
        self.buckets.remove(name);
        Ok(())
    }

    pub(super) fn bucket(&self, name: &str) -> Result<&Bucket, ApiError> {
        self.buckets.get(name).ok_or_else(no_bucket)
    }

    pub(super) fn bucket_mut(&mut self, name: &str) -> Result<&mut Bucket, ApiError> {
        self.buckets.get_mut(name).ok_or_else(no_bucket)
    }

    /// Whether there is room for so many bytes more.
    pub(super) fn check_room(&self, more: usize) -> Result<(), ApiError> {
        let object = |object: &Arc<Object>| object.data.len();
        let bucket = |bucket: &Bucket| {
            let parts = bucket.uploads.values().flat_map(|upload| upload.parts.values());
            bucket.objects.values().chain(parts).map(object).sum::<usize>()
        };
        if self.buckets.values().map(bucket).sum::<usize>() + more > BYTES_MAX {
            let message = "The simulator keeps objects in memory, and holds no more of them.";
            return Err(ApiError::new(400, "EntityTooLarge", message));
        }
        Ok(())
    }

    pub(super) fn buckets_xml(&self) -> String {
        let bucket = |(name, bucket): (&String, &Bucket)| {
            let dates = xml::element("CreationDate", &xml::date(bucket.created));
            format!("<Bucket>{}{dates}</Bucket>", xml::element("Name", name))
        };
        let buckets: String = self.buckets.iter().map(bucket).collect();
        let owner = xml::owner("Owner");
        xml::root("ListAllMyBucketsResult", &format!("{owner}<Buckets>{buckets}</Buckets>"))
    }
}

impl Bucket {
    pub(super) fn object(&self, key: &str) -> Result<&Arc<Object>, ApiError> {
        self.objects
            .get(key)
            .ok_or_else(|| ApiError::new(404, "NoSuchKey", "The specified key does not exist."))
    }
}

fn no_bucket() -> ApiError {
    ApiError::new(404, "NoSuchBucket", "The specified bucket does not exist")
}
