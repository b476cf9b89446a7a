//! Bodies in chunks (`aws-chunked`), with or without signatures and trailers.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::SigningKey;

/// Why a body in chunks is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Broken {
    /// It ends early, or is not in chunks.
    Incomplete,
    /// A chunk, or the trailer, is not signed with the key.
    Forged,
}

/// The key and the signature that the first chunk's signature goes on from: the head's.
pub(in crate::simulator) type Seed<'a> = (&'a SigningKey, &'a str);

/// A body without its chunks, and the headers behind it. With a seed, each chunk has to be signed.
pub(in crate::simulator) fn decode(
    body: &Bytes,
    seed: Option<Seed<'_>>,
) -> Result<(Bytes, Vec<(String, String)>), Broken> {
    let (mut rest, mut data) = (body.clone(), BytesMut::with_capacity(body.len()));
    let mut last = seed.map(|(_, signature)| signature.to_owned());
    loop {
        let head = line(&mut rest).ok_or(Broken::Incomplete)?;
        let (size, extension) = head.split_once(';').unwrap_or((&head, ""));
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| Broken::Incomplete)?;
        if rest.len() < size {
            return Err(Broken::Incomplete);
        }
        let chunk = rest.split_to(size);
        if let (Some((key, _)), Some(last)) = (seed, &mut last) {
            let given = extension.trim().strip_prefix("chunk-signature=").unwrap_or_default();
            let (empty, hash) = (Sha256::digest(b""), Sha256::digest(&chunk));
            let text = format!("{last}\n{}\n{}", hex::encode(empty), hex::encode(hash));
            *last = agreed(key.sign("AWS4-HMAC-SHA256-PAYLOAD", &text), given)?;
        }
        data.extend_from_slice(&chunk);
        if size == 0 {
            break;
        }
        // The end of the chunk's line.
        match line(&mut rest) {
            Some(end) if end.is_empty() => {}
            _ => return Err(Broken::Incomplete),
        }
    }
    let trailers = trailers(rest);
    if let (Some((key, _)), Some(last), false) = (seed, last, trailers.is_empty()) {
        check_trailers(key, &last, &trailers)?;
    }
    Ok((data.freeze(), trailers))
}

fn check_trailers(
    key: &SigningKey,
    last: &str,
    trailers: &[(String, String)],
) -> Result<(), Broken> {
    const OWN: &str = "x-amz-trailer-signature";
    let given = trailers.iter().find(|(name, _)| name == OWN).map_or("", |(_, value)| value);
    let mut signed: Vec<_> = trailers.iter().filter(|(name, _)| name != OWN).collect();
    signed.sort();
    let text: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let hash = hex::encode(Sha256::digest(text));
    agreed(key.sign("AWS4-HMAC-SHA256-TRAILER", &format!("{last}\n{hash}")), given).map(drop)
}

fn agreed(right: String, given: &str) -> Result<String, Broken> {
    let same: bool = right.as_bytes().ct_eq(given.as_bytes()).into();
    if same { Ok(right) } else { Err(Broken::Forged) }
}

/// The headers after the last chunk, in small letters.
fn trailers(mut rest: Bytes) -> Vec<(String, String)> {
    let mut trailers = Vec::new();
    while let Some(line) = line(&mut rest) {
        if let Some((name, value)) = line.split_once(':') {
            trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    trailers
}

/// Takes a line off, without its end. Some SDKs end the lines of trailers with a bare line feed.
fn line(rest: &mut Bytes) -> Option<String> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = rest.split_to(end + 1);
    Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_credential_types::Credentials;
    use aws_sigv4::sign::v4;
    use aws_smithy_runtime_api::http::Headers;

    use super::super::Claim;
    use super::*;

    /// The example of the S3 API reference, "Signature calculations: multiple chunks", with its key and seed.
    fn example() -> SigningKey {
        let mut claim =
            Claim::scoped("AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request").unwrap();
        claim.time = "20130524T000000Z".to_owned();
        claim.key_of("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").unwrap()
    }

    const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";

    fn signed_body() -> Vec<u8> {
        let mut body = Vec::new();
        for (size, signature) in [
            (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ] {
            body.extend(format!("{size:x};chunk-signature={signature}\r\n").bytes());
            body.extend(vec![b'a'; size]);
            body.extend(b"\r\n");
        }
        body
    }

    #[test]
    fn the_example_of_the_reference_is_right_and_a_changed_one_is_not() {
        let key = example();
        let body = Bytes::from(signed_body());
        let (data, trailers) = decode(&body, Some((&key, SEED))).unwrap();
        assert_eq!((data.len(), trailers.len()), (66_560, 0));
        let mut changed = signed_body();
        changed[70_000 - 4000] = b'b';
        assert_eq!(decode(&changed.into(), Some((&key, SEED))), Err(Broken::Forged));
        let other = SEED.replace('4', "5");
        assert_eq!(decode(&body, Some((&key, &other))), Err(Broken::Forged));
        let cut = body.slice(..body.len() - 100);
        assert_eq!(decode(&cut, Some((&key, SEED))), Err(Broken::Incomplete));
        assert_eq!(decode(&body, None).unwrap().0, data, "framed all the same");
    }

    #[test]
    fn a_trailer_needs_no_signature_where_nothing_is_signed() {
        let plain = Bytes::from("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n");
        let (data, trailers) = decode(&plain, None).unwrap();
        assert_eq!(&data[..], b"abc");
        assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "NSRBwg==".to_owned())]);
    }

    /// What the SDK for Rust makes is right.
    #[test]
    fn a_signed_trailer_is_checked() {
        let identity =
            Credentials::new("A", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "");
        let identity = identity.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(UNIX_EPOCH + Duration::from_secs(1_369_353_600))
            .settings(())
            .build()
            .unwrap();
        let data = Bytes::from_static(b"abc");
        let first = v4::sign_chunk(&data, SEED, &params).unwrap().into_parts().1;
        let end = v4::sign_chunk(&Bytes::new(), &first, &params).unwrap().into_parts().1;
        let mut headers = Headers::new();
        headers.insert("x-amz-checksum-crc32", "NSRBwg==");
        headers.insert("x-amz-a", "1");
        let trailer = v4::sign_trailer(&headers, &end, &params).unwrap().into_parts().1;
        let body = |value: &str| {
            Bytes::from(format!(
                "3;chunk-signature={first}\r\nabc\r\n0;chunk-signature={end}\r\n\
                 x-amz-checksum-crc32:{value}\r\nx-amz-a:1\r\n\
                 x-amz-trailer-signature:{trailer}\r\n\r\n"
            ))
        };
        let key = example();
        assert_eq!(decode(&body("NSRBwg=="), Some((&key, SEED))).unwrap().0, data);
        assert_eq!(decode(&body("AAAAAA=="), Some((&key, SEED))), Err(Broken::Forged));
    }
}
