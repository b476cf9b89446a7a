//! Uploads in parts.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use md5::{Digest, Md5};

use super::super::answer::Document;
use super::super::message::ApiError;
use super::objects::{check_md5, kept_headers, quoted};
use super::store::{Bucket, Object, Store, Upload};
use super::{Call, xml};

/// Every part but the last is at least this long (S3's limit; 5 MiB).
const PART_BYTES_MIN: usize = 5 << 20;

pub(super) fn create(
    store: &mut Store,
    call: &Call,
    id: String,
    now: Timestamp,
) -> Result<Document, ApiError> {
    let names = named(call) + &xml::element("UploadId", &id);
    let key = call.key.clone();
    let upload = Upload { key, begun: now, headers: kept_headers(call), parts: Default::default() };
    store.bucket_mut(&call.bucket)?.uploads.insert(id, upload);
    Ok(Document::xml(xml::root("InitiateMultipartUploadResult", &names)))
}

pub(super) fn upload(store: &mut Store, call: &Call, now: Timestamp) -> Result<Document, ApiError> {
    check_md5(call)?;
    store.check_room(call.body.len())?;
    let number = call.param("partNumber").and_then(|text| text.parse().ok());
    let number = number.filter(|number| (1..=10_000).contains(number)).ok_or_else(|| {
        let message = "Part number must be an integer between 1 and 10000, inclusive";
        ApiError::new(400, "InvalidArgument", message)
    })?;
    let (id, bucket) = (upload_id(call), store.bucket_mut(&call.bucket)?);
    let upload = bucket.uploads.get_mut(id).filter(|upload| upload.key == call.key);
    let part = Object::new(call.body.clone(), Vec::new(), now);
    let answer = Document::empty(200).with("etag", &quoted(&part.etag));
    upload.ok_or_else(no_upload)?.parts.insert(number, Arc::new(part));
    Ok(answer)
}

pub(super) fn complete(
    store: &mut Store,
    call: &Call,
    now: Timestamp,
) -> Result<Document, ApiError> {
    let upload = find(store.bucket(&call.bucket)?, call)?.clone();
    let order = xml::read(&call.body)?;
    let texts = |wanted: &'static str| {
        order.iter().filter(move |(name, _)| name == wanted).map(|(_, text)| text.trim_matches('"'))
    };
    let (mut data, mut digests, mut last) = (BytesMut::new(), Md5::new(), 0);
    let chosen: Vec<_> = texts("PartNumber").zip(texts("ETag")).collect();
    for (index, (number, etag)) in chosen.iter().enumerate() {
        let number: u32 = number.parse().unwrap_or(0);
        let part =
            upload.parts.get(&number).filter(|part| part.etag == *etag).ok_or_else(|| {
                let message = "One or more of the specified parts could not be found.";
                ApiError::new(400, "InvalidPart", message)
            })?;
        if number <= last {
            let message = "The list of parts was not in ascending order.";
            return Err(ApiError::new(400, "InvalidPartOrder", message));
        }
        if index + 1 < chosen.len() && part.data.len() < PART_BYTES_MIN {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            return Err(ApiError::new(400, "EntityTooSmall", message));
        }
        last = number;
        data.extend_from_slice(&part.data);
        digests.update(hex::decode(&part.etag).unwrap_or_default());
    }
    if chosen.is_empty() {
        return Err(ApiError::new(400, "MalformedXML", xml::MALFORMED));
    }
    let etag = format!("{}-{}", hex::encode(digests.finalize()), chosen.len());
    let names = named(call) + &xml::element("ETag", &quoted(&etag));
    let data = Bytes::from(data);
    let object = Object { data, etag, modified: now, headers: upload.headers };
    let bucket = store.bucket_mut(&call.bucket)?;
    bucket.uploads.remove(upload_id(call));
    bucket.objects.insert(call.key.clone(), Arc::new(object));
    Ok(Document::xml(xml::root("CompleteMultipartUploadResult", &names)))
}

pub(super) fn abort(store: &mut Store, call: &Call) -> Result<Document, ApiError> {
    find(store.bucket(&call.bucket)?, call)?;
    store.bucket_mut(&call.bucket)?.uploads.remove(upload_id(call));
    Ok(Document::empty(204))
}

pub(super) fn list_parts(bucket: &Bucket, call: &Call) -> Result<Document, ApiError> {
    let upload = find(bucket, call)?;
    let part = |(number, part): (&u32, &Arc<Object>)| {
        let texts = xml::element("PartNumber", &number.to_string())
            + &xml::element("LastModified", &xml::date(part.modified))
            + &xml::element("ETag", &quoted(&part.etag))
            + &xml::element("Size", &part.data.len().to_string());
        format!("<Part>{texts}</Part>")
    };
    let parts: String = upload.parts.iter().map(part).collect();
    let names = named(call) + &xml::element("UploadId", upload_id(call));
    let page = format!("{names}<IsTruncated>false</IsTruncated>{parts}");
    Ok(Document::xml(xml::root("ListPartsResult", &page)))
}

pub(super) fn list_uploads(bucket: &Bucket, call: &Call) -> Document {
    let prefix = call.param("prefix").unwrap_or_default();
    let wanted = bucket.uploads.iter().filter(|(_, upload)| upload.key.starts_with(prefix));
    let uploads: String = wanted
        .map(|(id, upload)| {
            let texts = xml::element("Key", &upload.key)
                + &xml::element("UploadId", id)
                + &xml::element("Initiated", &xml::date(upload.begun));
            format!("<Upload>{texts}</Upload>")
        })
        .collect();
    let name = xml::element("Bucket", &call.bucket);
    let page = format!("{name}<IsTruncated>false</IsTruncated>{uploads}");
    Document::xml(xml::root("ListMultipartUploadsResult", &page))
}

fn find<'a>(bucket: &'a Bucket, call: &Call) -> Result<&'a Upload, ApiError> {
    let upload = bucket.uploads.get(upload_id(call));
    upload.filter(|upload| upload.key == call.key).ok_or_else(no_upload)
}

fn named(call: &Call) -> String {
    xml::element("Bucket", &call.bucket) + &xml::element("Key", &call.key)
}

fn upload_id(call: &Call) -> &str {
    call.param("uploadId").unwrap_or_default()
}

fn no_upload() -> ApiError {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload \
                   may have been aborted or completed.";
    ApiError::new(404, "NoSuchUpload", message)
}
