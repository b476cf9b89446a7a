//! Bodies in chunks, framed and signed as the SDK for Rust does it.

use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::http::Headers;
use bytes::Bytes;
use http::request::Parts;
use jiff::Timestamp;

use super::client::Client;

/// Signs chunks and trailers as the SDK for Rust does.
pub struct Signer<'a> {
    pub id: &'a str,
    pub secret: &'a str,
    pub at: Timestamp,
    pub last: String,
}

impl Signer<'_> {
    fn with<T>(&self, act: impl FnOnce(&v4::SigningParams<'_, ()>) -> T) -> T {
        let identity = aws_credential_types::Credentials::new(self.id, self.secret, None, None, "");
        let identity = identity.into();
        let client = Client::default();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(client.region)
            .name("s3")
            .time(self.at.into())
            .settings(())
            .build();
        act(&params.unwrap())
    }

    pub fn chunk(&mut self, data: &[u8]) -> String {
        let data = Bytes::copy_from_slice(data);
        let signed =
            self.with(|params| v4::sign_chunk(&data, &self.last, params).unwrap().into_parts().1);
        self.last = signed;
        self.last.clone()
    }

    pub fn trailer(&mut self, lines: &[(&'static str, String)]) -> String {
        let mut headers = Headers::new();
        for (name, value) in lines {
            headers.insert(*name, value.clone());
        }
        self.with(|params| v4::sign_trailer(&headers, &self.last, params).unwrap().into_parts().1)
    }
}

/// How a stream is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Unsigned,
    Signed,
    SignedTrailer,
}

impl Mode {
    pub fn text(self) -> &'static str {
        match self {
            Self::Unsigned => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            Self::Signed => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::SignedTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        }
    }
}

pub fn trailers() -> [(&'static str, String); 2] {
    [("x-amz-meta-b", "b  b".to_owned()), ("x-amz-checksum-crc32", "NSRBwg==".to_owned())]
}

/// The body as it is framed by whoever has this key, after this seed.
pub fn framed(mode: Mode, chunks: &[Vec<u8>], line_end: &str, signer: &mut Signer<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    for data in chunks.iter().map(Vec::as_slice).chain([&b""[..]]) {
        match mode {
            Mode::Unsigned => body.extend(format!("{:x}\r\n", data.len()).bytes()),
            _ => {
                let signature = signer.chunk(data);
                body.extend(format!("{:x};chunk-signature={signature}\r\n", data.len()).bytes());
            }
        }
        if !data.is_empty() {
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
        }
    }
    if mode != Mode::Signed {
        for (name, value) in trailers() {
            body.extend(format!("{name}:{value}{line_end}").bytes());
        }
    }
    if mode == Mode::SignedTrailer {
        let signature = signer.trailer(&trailers());
        body.extend(format!("x-amz-trailer-signature:{signature}{line_end}").bytes());
    }
    body.extend_from_slice(b"\r\n");
    body
}

/// The signature of a head, which the first chunk's goes on from.
pub fn seed(signature: &Parts) -> String {
    let text = signature.headers["authorization"].to_str().unwrap();
    text.rsplit('=').next().unwrap().to_owned()
}
