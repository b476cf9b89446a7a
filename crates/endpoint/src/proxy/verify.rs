//! Whether a request was signed with a placeholder key by somebody who may do what it asks for.
//!
//! It goes in two steps, because a body whose hash is not given has to be read before the signature can be made again:
//! [`admit`] decides all but the signature, so that nothing is read for strangers; [`Admitted::verify`] the signature.

use std::sync::Arc;

use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use rotakey_core::credential::{AccessKeyId, SecretAccessKey, SessionToken};
use sha2::{Digest, Sha256};

use super::canonical::Canonical;
use super::claim::{Claim, Place};
use super::key::{ALGORITHM, Scope, Signature, SigningKey, SigningKeys, is_same};
use super::names::{CONTENT_SHA256, text};
use super::payload::{ChunkSigner, Payload};
use super::refusal::Refusal;
use super::uri::{PathStyle, is_s3};
use super::{checks, screen, version2};

/// A key pair that a program signs with. It is good for nothing but this proxy.
#[derive(Clone, Debug)]
pub struct Placeholder {
    /// Names it.
    pub id: AccessKeyId,
    /// Signs with it.
    pub secret: SecretAccessKey,
    /// What goes with it, if it stands for temporary credentials.
    pub token: Option<SessionToken>,
    /// The profile whose key its requests are signed with.
    pub profile: String,
    /// The signing names that it is good for; `None` for all.
    pub services: Option<Vec<String>>,
    /// The regions that it is good for; `None` for all.
    pub regions: Option<Vec<String>>,
}

/// Knows the placeholders.
pub trait Placeholders {
    /// The one of this id, if there is one and it is not revoked.
    fn placeholder(&self, id: &str) -> Option<Arc<Placeholder>>;

    /// Why one that there is not is refused.
    fn unknown(&self, _id: &str) -> Refusal {
        Refusal::UnknownKey
    }
}

/// What is accepted, and when it is.
#[derive(Clone, Copy)]
pub struct Policy<'a> {
    /// The clock of this machine.
    pub now: Timestamp,
    /// How far AWS's clock is ahead of it. SDKs correct theirs by AWS's answers, so both are right.
    pub upstream_offset: SignedDuration,
    /// Whether a `Host` may be signed for: `127.0.0.1:25000`.
    pub is_host: &'a (dyn Fn(&str) -> bool + Sync),
    /// Whether presigned URLs are accepted.
    pub presigned: bool,
    /// The region of URLs that are presigned with version 2, which name none; `None` if they are not accepted.
    pub version_2_region: Option<&'a str>,
}

/// A request that is in order, if its signature is.
#[derive(Debug)]
pub struct Admitted<'a> {
    claim: Claim<'a>,
    placeholder: Arc<Placeholder>,
    payload: Payload,
}

/// Decides all but the signature. The body need not have been read.
pub fn admit<'a>(
    head: &'a Parts,
    policy: &Policy<'_>,
    placeholders: &(impl Placeholders + ?Sized),
) -> Result<Admitted<'a>, Refusal> {
    let host = screen::check(head)?;
    let claim = Claim::read(head, policy.version_2_region)?;
    if claim.place != Place::Header && !policy.presigned {
        return Err(Refusal::Presigned);
    }
    checks::host(host, &claim, policy)?;
    checks::headers(head, &claim)?;
    checks::time(&claim, policy)?;
    let placeholder = placeholders.placeholder(&claim.key_id);
    let placeholder = placeholder.ok_or_else(|| placeholders.unknown(&claim.key_id))?;
    checks::allowed(&claim.scope, &placeholder)?;
    checks::token(head, &claim, &placeholder)?;
    let payload = payload_of(head, &claim)?;
    Ok(Admitted { claim, placeholder, payload })
}

fn payload_of(head: &Parts, claim: &Claim<'_>) -> Result<Payload, Refusal> {
    let in_header = head.headers.get(CONTENT_SHA256);
    let in_header = in_header.map(|value| text(value).ok_or(Refusal::PayloadMode));
    let in_header = in_header.transpose()?;
    let is_s3 = is_s3(&claim.scope.service);
    match &claim.place {
        Place::Url { content_sha256: Some(text), .. } => Payload::parse(text),
        Place::UrlVersion2 { .. } => Ok(Payload::Unsigned),
        Place::Url { .. } if is_s3 && in_header.is_none() => Ok(Payload::Unsigned),
        _ => in_header.map_or(Ok(Payload::Implicit), Payload::parse),
    }
}

impl Admitted<'_> {
    /// How the body is signed. With [`Payload::Implicit`] it has to be read before the signature can be verified.
    pub fn payload(&self) -> Payload {
        self.payload
    }

    /// Whose request it says it is. Not yet believed.
    pub fn placeholder(&self) -> &Arc<Placeholder> {
        &self.placeholder
    }

    /// Decides the signature. `body_hash` is the SHA-256 of the body, with [`Payload::Implicit`].
    pub fn verify(
        self,
        head: &Parts,
        body_hash: Option<[u8; 32]>,
        keys: &SigningKeys,
    ) -> Result<Verified, Refusal> {
        let Self { claim, placeholder, payload } = self;
        let payload_text = match (payload, body_hash) {
            (Payload::Implicit, hash) => hex::encode(hash.ok_or(Refusal::WrongSignature)?),
            (given, _) => given.text(),
        };
        let (signature, key) = match &claim.place {
            Place::UrlVersion2 { expires } => {
                version2::verify(head, &placeholder.secret, expires, &claim.signature)?;
                (None, None)
            }
            _ => {
                let key = keys.key(&placeholder.id, &placeholder.secret, &claim.scope);
                let signature = check_signature(head, &claim, &payload_text, &key)?;
                (Some(signature), Some(key))
            }
        };
        let chunks = key.zip(signature).filter(|_| payload.has_signer()).map(|(key, seed)| {
            let chunks = ChunkSigner::new(key, &claim.date, &claim.scope, seed);
            match payload {
                Payload::Events => {
                    chunks.for_events(keys, (&placeholder.id, &placeholder.secret), &claim.scope)
                }
                _ => chunks,
            }
        });
        let is_presigned = claim.place != Place::Header;
        let Claim { scope, signed_headers, at, .. } = claim;
        Ok(Verified {
            placeholder,
            scope,
            signed_headers: signed_headers.into_owned(),
            at,
            payload,
            payload_text,
            is_presigned,
            chunks,
        })
    }
}

fn check_signature(
    head: &Parts,
    claim: &Claim<'_>,
    payload: &str,
    key: &SigningKey,
) -> Result<Signature, Refusal> {
    let signed = |style| {
        let hash = canonical(head, claim, payload, style).hash_digits();
        let right = sign_head(key, &claim.date, &claim.scope, &hash);
        is_same(&right, claim.signature.as_bytes()).then_some(right)
    };
    let style = PathStyle::of(&claim.scope.service);
    if let Some(right) = signed(style) {
        return Ok(right);
    }
    let path = head.uri.path().as_bytes();
    let as_sent = PathStyle::TwiceAsSent;
    if style == PathStyle::Twice && style.canonical(path) != as_sent.canonical(path) {
        return signed(as_sent).ok_or(Refusal::WrongSignature);
    }
    Err(Refusal::WrongSignature)
}

fn canonical<'a>(
    head: &'a Parts,
    claim: &'a Claim<'_>,
    payload: &'a str,
    style: PathStyle,
) -> Canonical<'a> {
    Canonical {
        method: head.method.as_str(),
        path: head.uri.path().as_bytes(),
        style,
        query: head.uri.query().unwrap_or_default().as_bytes(),
        headers: &head.headers,
        authority: head.uri.authority().map(http::uri::Authority::as_str),
        signed_headers: &claim.signed_headers,
        payload,
    }
}

/// The signature of a head, from the hash of its canonical request.
pub(super) fn sign_head(key: &SigningKey, date: &str, scope: &Scope, hash: &[u8; 64]) -> Signature {
    let Scope { day, region, service } = scope;
    let scope = [day, "/", region, "/", service, "/aws4_request"];
    let head = [ALGORITHM, "\n", date, "\n"].into_iter().chain(scope).chain(["\n"]);
    let mut parts = [&b""[..]; 12];
    for (place, text) in parts.iter_mut().zip(head) {
        *place = text.as_bytes();
    }
    parts[11] = hash;
    key.sign(&parts)
}

/// A request whose signature was right. Only [`Admitted::verify`] makes one.
#[derive(Debug)]
pub struct Verified {
    placeholder: Arc<Placeholder>,
    pub(super) scope: Scope,
    pub(super) signed_headers: String,
    at: Timestamp,
    pub(super) payload: Payload,
    pub(super) payload_text: String,
    pub(super) is_presigned: bool,
    chunks: Option<ChunkSigner>,
}

impl Verified {
    /// Whose request it is.
    pub fn placeholder(&self) -> &Arc<Placeholder> {
        &self.placeholder
    }

    /// What it was signed for. AWS may want another region for the same service.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// When it was signed.
    pub fn signed_at(&self) -> Timestamp {
        self.at
    }

    /// How the body is signed.
    pub fn payload(&self) -> Payload {
        self.payload
    }

    /// Makes the signatures that the chunks of the body should have. None if it has no chunks, or nothing is signed in them.
    pub fn chunks(&self) -> Option<&ChunkSigner> {
        self.chunks.as_ref()
    }

    /// Whether the signature stood in the URL.
    pub fn is_presigned(&self) -> bool {
        self.is_presigned
    }

    /// The SHA-256 of the body, if it is known.
    pub fn body_hash(&self) -> Option<[u8; 32]> {
        let is_hash = matches!(self.payload, Payload::Implicit | Payload::Hash(_));
        is_hash.then(|| hex::decode(&self.payload_text).ok()?.try_into().ok()).flatten()
    }
}

/// The hash of a body that is in memory.
pub fn hash(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}
