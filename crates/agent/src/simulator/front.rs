//! Understands what comes in by HTTP: whose protocol it is, who signed it, and what it asks for.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::dynamodb::TARGET;
use super::http::{Clock, Shared, lock};
use super::message::{ApiError, Call, Protocol, Request, Signature};
use super::refused::Refused;
use super::s3;
use super::sigv4::chunked::{self, Broken};
use super::sigv4::{Claim, PathStyle, SigningKey, header, pairs};

/// No request of IAM, STS or DynamoDB is near this long.
pub(super) const BODY_LIMIT: usize = 1 << 20;

/// The simulator keeps objects in memory.
const OBJECT_LIMIT: usize = 128 << 20;

/// A body, whole.
pub(super) async fn whole(body: Incoming, limit: usize) -> io::Result<Bytes> {
    let body = Limited::new(body, limit).collect().await.map_err(io::Error::other)?;
    Ok(body.to_bytes())
}

/// A request as it came, with its signature checked.
pub(super) async fn read(
    parts: &Parts,
    body: Incoming,
    simulator: &Shared,
    clock: &Clock,
) -> io::Result<Request> {
    let claim = Claim::read(parts);
    let key = claim.as_ref().and_then(|claim| {
        let secret = lock(simulator).secret_of(&claim.key).map(str::to_owned);
        claim.key_of(&secret?)
    });
    let signed = Signed { claim, key };
    match protocol(parts, signed.claim.as_ref()) {
        Protocol::S3 => s3(parts, body, &signed, simulator, clock).await,
        Protocol::Json => Ok(json(parts, &whole(body, BODY_LIMIT).await?, &signed)),
        Protocol::Query => Ok(query(parts, &whole(body, BODY_LIMIT).await?, &signed)),
    }
}

/// The scope of the signature says it, or the request's form.
fn protocol(parts: &Parts, claim: Option<&Claim>) -> Protocol {
    match claim.map(|claim| claim.service.as_str()) {
        Some("s3" | "s3express") => return Protocol::S3,
        Some("dynamodb") => return Protocol::Json,
        Some(_) => return Protocol::Query,
        None => {}
    }
    let is_query = parts.uri.query().is_some_and(|query| query.contains("Action="));
    if header(parts, "x-amz-target").is_some() {
        Protocol::Json
    } else if parts.uri.path() == "/" && (parts.method == http::Method::POST || is_query) {
        Protocol::Query
    } else {
        Protocol::S3
    }
}

/// What a request says of its signer, and the key to see whether it is true.
struct Signed {
    claim: Option<Claim>,
    key: Option<SigningKey>,
}

impl Signed {
    fn signature(&self, parts: &Parts, body_hash: &str, style: PathStyle) -> Option<Signature> {
        let claim = self.claim.as_ref()?;
        let key = self.key.as_ref();
        let is_right = key.is_some_and(|key| claim.is_signed(parts, body_hash, style, key));
        Some(claim.judged(is_right))
    }

    fn request(&self, parts: &Parts, action: String, service: &str, call: Call) -> Request {
        let service = self.claim.as_ref().map_or(service, |claim| &claim.service).to_owned();
        let user_agent = header(parts, "user-agent").unwrap_or_default().to_owned();
        let (params, signature, admitted) = (BTreeMap::new(), None, None);
        Request { action, params, signature, service, user_agent, call, admitted }
    }
}

fn query(parts: &Parts, body: &[u8], signed: &Signed) -> Request {
    let mut params: BTreeMap<_, _> = match parts.uri.query() {
        Some(query) if body.is_empty() => pairs(query).into_iter().collect(),
        _ => pairs(&String::from_utf8_lossy(body)).into_iter().collect(),
    };
    let action = params.remove("Action").unwrap_or_default();
    let of_sts = matches!(&*action, "GetCallerIdentity" | "GetSessionToken" | "AssumeRole");
    let service = if of_sts { "sts" } else { "iam" };
    let signature = signed.signature(parts, &hash(body), PathStyle::Sent);
    let request = signed.request(parts, action, service, Call::Query);
    Request { params, signature, ..request }
}

fn json(parts: &Parts, body: &[u8], signed: &Signed) -> Request {
    let target = header(parts, "x-amz-target").unwrap_or_default();
    let action = target.strip_prefix(TARGET).unwrap_or("UnknownOperation").to_owned();
    let order = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let signature = signed.signature(parts, &hash(body), PathStyle::Sent);
    let request = signed.request(parts, action, "dynamodb", Call::Dynamodb(order));
    Request { signature, ..request }
}

/// S3 looks at the signature when the head is there, and at the body's part in it as the body comes: whoever
/// waits behind `Expect: 100-continue` is refused before sending, and a slow body outlives its key.
async fn s3(
    parts: &Parts,
    body: Incoming,
    signed: &Signed,
    simulator: &Shared,
    clock: &Clock,
) -> io::Result<Request> {
    let (action, mut call) = s3::Call::read(parts);
    let in_url = signed.claim.as_ref().is_some_and(|claim| claim.expires_seconds.is_some());
    let unsigned = in_url.then_some("UNSIGNED-PAYLOAD");
    let declared = header(parts, "x-amz-content-sha256").or(unsigned).unwrap_or_default();
    let mut request =
        signed.request(parts, action.to_owned(), "s3", Call::S3(Box::new(call.clone())));
    request.signature = signed.signature(parts, declared, PathStyle::EncodedOnce);
    let mut admitted = match header(parts, "authorization") {
        Some(old) if old.starts_with("AWS ") => Err(ApiError::new(
            400,
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use \
             AWS4-HMAC-SHA256.",
        )),
        _ => lock(simulator).authenticate(clock(), &request),
    };
    // A refused client that sends all the same is read to its end: with data under way it would see a reset
    // connection in place of the answer.
    let waits = header(parts, "expect").is_some();
    if admitted.is_ok() || !waits {
        let body = whole(body, OBJECT_LIMIT).await?;
        match received(body, declared, signed) {
            Ok((body, trailers)) => {
                call.take_body(body, &trailers);
                request.call = Call::S3(Box::new(call));
            }
            Err(error) => admitted = admitted.and(Err(error)),
        }
    }
    request.admitted = Some(admitted);
    Ok(request)
}

/// A body as it was meant, and the headers behind it, if it is what the head declares.
fn received(
    body: Bytes,
    declared: &str,
    signed: &Signed,
) -> Result<(Bytes, Vec<(String, String)>), ApiError> {
    let seed = signed.key.as_ref().zip(signed.claim.as_ref());
    let seed = seed.map(|(key, claim)| (key, claim.signature.as_str()));
    let decoded = match declared {
        "UNSIGNED-PAYLOAD" => return Ok((body, Vec::new())),
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => chunked::decode(&body, None),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
            chunked::decode(&body, seed)
        }
        declared if declared.eq_ignore_ascii_case(&hash(&body)) => return Ok((body, Vec::new())),
        "" => {
            let message = "Missing required header for this request: x-amz-content-sha256";
            return Err(ApiError::new(400, "InvalidRequest", message));
        }
        _ => {
            let message =
                "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(ApiError::new(400, "XAmzContentSHA256Mismatch", message));
        }
    };
    decoded.map_err(|broken| match broken {
        Broken::Forged => Refused::Forged.in_words(Protocol::S3),
        Broken::Incomplete => {
            let message = "The request body terminated unexpectedly";
            ApiError::new(400, "IncompleteBody", message)
        }
    })
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
