//! Why the proxy refuses a request. The codes are those of AWS, so that SDKs do with them what they do with AWS's.

use http::StatusCode;

/// Every reason that there is. None of them holds anything of the request, so that nothing can leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No signature at all.
    #[error(
        "the request is not signed; hint: the proxy forwards only what is signed with its placeholder key"
    )]
    Unsigned,
    /// The `Authorization` header, or what stands for it in the URL.
    #[error("the signature's parts are not as signature version 4 has them")]
    Malformed,
    /// More than one signature.
    #[error("the request is signed both in a header and in its URL")]
    SignedTwice,
    /// SigV4A.
    #[error(
        "SigV4A is not supported here; hint: multi-region access points need a key of their own"
    )]
    Asymmetric,
    /// Signature version 2.
    #[error(
        "signature version 2 is not accepted; hint: sign with version 4 (signature_version = s3v4), or for presigned URLs set presigned_v2 = true in the profile"
    )]
    Version2,
    /// A presigned URL, where these are off.
    #[error("presigned URLs are not accepted here; hint: `rotakey presign` makes real ones")]
    Presigned,
    /// Nobody was given this key.
    #[error(
        "no program was given this access key id; hint: `rotakey env --source proxy` prints the placeholder"
    )]
    UnknownKey,
    /// Temporary placeholders go with a token.
    #[error("the session token is not the one that goes with this access key id")]
    WrongToken,
    /// A session of the proxy's that ended, or was made before the proxy began.
    #[error("the session has ended; hint: make another one, as with AssumeRole")]
    SessionOver,
    /// The signature is another one.
    #[error("the signature is not the one that the placeholder's secret makes of this request")]
    WrongSignature,
    /// Signed too long ago, or too far ahead.
    #[error("the request was signed more than five minutes from now; hint: compare the clocks")]
    Skewed,
    /// A presigned URL that has ended.
    #[error("the URL has expired")]
    Expired,
    /// A header that AWS acts on could have been added by anybody.
    #[error("there is an x-amz-* header that is not signed")]
    HeaderNotSigned,
    /// The signature could have been made for another server.
    #[error("the Host header is not signed")]
    HostNotSigned,
    /// Not ours, nor one that may be reached through us.
    #[error("the Host is not this proxy")]
    HostNotAllowed,
    /// In a tunnel: not the host that was connected to.
    #[error("the Host is not the one that was connected to")]
    OtherHost,
    /// The profile's programs come in another way.
    #[error("the profile's programs may not connect to hosts; hint: its `proxy_connect`")]
    ConnectNotAllowed,
    /// Day, region or service of the scope.
    #[error("the credential scope has no day, region or service that there could be")]
    BadScope,
    /// The profile does not allow it.
    #[error("the profile does not allow this service; hint: its `services`")]
    ServiceNotAllowed,
    /// The profile does not allow it.
    #[error("the profile does not allow this region; hint: its `regions`")]
    RegionNotAllowed,
    /// There is no way to tell where it should go.
    #[error("no host is known for this service; hint: hosts can be added, see docs/proxy.md")]
    ServiceUnknown,
    /// An operation that would give real credentials to the program.
    #[error(
        "this operation hands out credentials and is refused; hint: `rotakey` makes and rotates keys"
    )]
    OperationRefused,
    /// The same of S3, for directory buckets.
    #[error(
        "CreateSession hands out credentials and is refused; hint: set AWS_S3_DISABLE_EXPRESS_SESSION_AUTH=true, or s3_disable_express_session_auth = true in AWS's config file"
    )]
    BucketSession,
    /// One that cannot be told, of a service of which some are refused.
    #[error(
        "the body has to say which operation it asks for; hint: send it with its length, 1 MiB at most, and not encoded"
    )]
    HiddenOperation,
    /// One whose answer could be virtualised, where that is off.
    #[error(
        "this operation hands out credentials and is refused; hint: name it in the profile's virtual_sessions"
    )]
    NotVirtual,
    /// The answer to one of these was not as AWS makes it.
    #[error(
        "the server's answer holds credentials that cannot be told from the rest of it; nothing was handed out"
    )]
    AnswerUnreadable,
    /// A header that may stand there once.
    #[error("a header that decides the request stands there twice")]
    Duplicate,
    /// Two lengths of one body, or none that could be right.
    #[error("the length of the body is given in two ways")]
    TwoLengths,
    /// Any other head that is not one.
    #[error("the head of the request is not well-formed")]
    BadHead,
    /// A page in a browser.
    #[error("requests of browsers are not served")]
    Browser,
    /// `OPTIONS`, `CONNECT`, `TRACE` and what nobody knows.
    #[error("the method is not one of AWS's")]
    Method,
    /// A way to send bodies that is not known.
    #[error("x-amz-content-sha256 names a way to sign bodies that is not supported here")]
    PayloadMode,
    /// An event stream over HTTP/1.1: nobody could answer it while it goes on.
    #[error("event streams need HTTP/2; hint: use an SDK that speaks it to an http:// endpoint")]
    Http2Needed,
    /// The framing of a body in chunks.
    #[error("the body's chunks are not well-formed")]
    BadChunk,
    /// The signature of a chunk.
    #[error("a chunk's signature is not right")]
    ChunkSignature,
    /// The headers after the last chunk.
    #[error("the body's trailer is not the one that was announced")]
    BadTrailer,
    /// The signature of the trailer.
    #[error("the trailer's signature is not right")]
    TrailerSignature,
    /// The body is another one.
    #[error("the body's hash is not the one that was signed")]
    WrongHash,
    /// It ended early, or went on.
    #[error("the body is not as long as was announced")]
    WrongLength,
    /// Larger than what may be held in memory.
    #[error(
        "the body has to be held in memory to be verified, and is too large; hint: send x-amz-content-sha256"
    )]
    TooLarge,
    /// A chunk that is larger than what may be held in memory.
    #[error("a signed chunk is larger than 16 MiB")]
    ChunkTooLarge,
    /// Others hold all the memory that there is for bodies.
    #[error("too many bodies are held in memory; hint: try again")]
    Busy,
    /// The profile has no key, or not yet.
    #[error("there is no key to sign with; hint: `rotakey status` says more")]
    NoKey,
    /// AWS was not reached, or did not answer.
    #[error("the server did not answer; hint: check the network")]
    Unreachable,
    /// A program that is not on the profile's list.
    #[error("this program is not among the profile's executables")]
    ForeignProgram,
    /// Neither in the table, nor named by the profile.
    #[error("there is no such region; hint: name a new one in the profile's `regions`")]
    RegionUnknown,
    /// What is to be presigned names no bucket.
    #[error("the path does not begin with a bucket's name; hint: it has to be as in /bucket/key")]
    NoBucket,
    /// Nobody can sign it for AWS.
    #[error("a header cannot be signed as it is")]
    CannotSign,
}

/// The codes of a refusal, by protocol.
pub(crate) struct Codes {
    pub(crate) status: StatusCode,
    pub(crate) s3: &'static str,
    pub(crate) query: &'static str,
    pub(crate) json: &'static str,
}

const fn codes(
    status: StatusCode,
    s3: &'static str,
    query: &'static str,
    json: &'static str,
) -> Codes {
    Codes { status, s3, query, json }
}

impl Refusal {
    /// The status of the answer, and its code as S3, services of the query protocol and those of JSON have it.
    pub(crate) fn codes(self) -> Codes {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        const NO: StatusCode = StatusCode::FORBIDDEN;
        let same = |status, code| codes(status, code, code, code);
        match self {
            Self::Unsigned => codes(
                NO,
                "AccessDenied",
                "MissingAuthenticationToken",
                "MissingAuthenticationTokenException",
            ),
            Self::Malformed | Self::SignedTwice | Self::BadScope => codes(
                BAD,
                "AuthorizationHeaderMalformed",
                "IncompleteSignature",
                "IncompleteSignatureException",
            ),
            Self::UnknownKey => codes(
                NO,
                "InvalidAccessKeyId",
                "InvalidClientTokenId",
                "UnrecognizedClientException",
            ),
            Self::WrongToken => {
                codes(NO, "InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException")
            }
            // What makes SDKs that look for it make another session.
            Self::SessionOver => {
                codes(BAD, "ExpiredToken", "ExpiredToken", "ExpiredTokenException")
            }
            Self::WrongSignature => codes(
                NO,
                "SignatureDoesNotMatch",
                "SignatureDoesNotMatch",
                "InvalidSignatureException",
            ),
            Self::Skewed => codes(
                NO,
                "RequestTimeTooSkewed",
                "RequestTimeTooSkewed",
                "InvalidSignatureException",
            ),
            Self::Expired => {
                codes(NO, "AccessDenied", "RequestExpired", "InvalidSignatureException")
            }
            Self::ChunkSignature | Self::TrailerSignature => same(NO, "SignatureDoesNotMatch"),
            Self::Version2
            | Self::Presigned
            | Self::HeaderNotSigned
            | Self::HostNotSigned
            | Self::HostNotAllowed
            | Self::OtherHost
            | Self::ConnectNotAllowed
            | Self::ServiceNotAllowed
            | Self::RegionNotAllowed
            | Self::OperationRefused
            | Self::BucketSession
            | Self::HiddenOperation
            | Self::NotVirtual
            | Self::ForeignProgram
            | Self::Browser => codes(NO, "AccessDenied", "AccessDenied", "AccessDeniedException"),
            Self::Asymmetric | Self::PayloadMode => {
                same(StatusCode::NOT_IMPLEMENTED, "NotImplemented")
            }
            Self::Method => same(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::BadChunk | Self::Duplicate | Self::TwoLengths | Self::BadHead => {
                same(BAD, "InvalidRequest")
            }
            Self::ServiceUnknown | Self::RegionUnknown | Self::NoBucket | Self::CannotSign => {
                same(BAD, "InvalidRequest")
            }
            // As Transcribe and Lex have it.
            Self::Http2Needed => {
                codes(BAD, "InvalidRequest", "InvalidParameterValue", "BadRequestException")
            }
            Self::BadTrailer => same(BAD, "MalformedTrailerError"),
            Self::WrongHash => codes(
                BAD,
                "XAmzContentSHA256Mismatch",
                "SignatureDoesNotMatch",
                "InvalidSignatureException",
            ),
            Self::WrongLength => same(BAD, "IncompleteBody"),
            Self::TooLarge | Self::ChunkTooLarge => {
                same(StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge")
            }
            Self::NoKey | Self::Unreachable | Self::AnswerUnreadable => {
                same(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
            Self::Busy => codes(
                StatusCode::SERVICE_UNAVAILABLE,
                "SlowDown",
                "Throttling",
                "ThrottlingException",
            ),
        }
    }
}
