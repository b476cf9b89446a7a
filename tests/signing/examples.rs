//! The examples of the Amazon S3 user guide: "Authenticating requests", "Signature calculations: multiple chunks" and
//! "… including trailing headers".

use http::request::Parts;
use jiff::SignedDuration;
use rotakey_core::credential::SecretAccessKey;
use rotakey_endpoint::proxy::key::SigningKeys;
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::verify::{Placeholder, Policy, Verified, admit};

use super::world::{Book, placeholder, request};

const SCOPE: &str = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// At the day of the examples, and with their key.
pub fn verified(head: &Parts) -> Result<Verified, Refusal> {
    let book = Book(Placeholder {
        id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
        secret: SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
        ..placeholder()
    });
    let policy = Policy {
        now: "2013-05-24T00:00:30Z".parse().unwrap(),
        upstream_offset: SignedDuration::ZERO,
        is_host: &|host| host == "examplebucket.s3.amazonaws.com" || host == "s3.amazonaws.com",
        presigned: true,
        version_2_region: None,
    };
    admit(head, &policy, &book)?.verify(head, None, &SigningKeys::new())
}

fn signed(
    method: &str,
    target: &str,
    names: &str,
    signature: &str,
    headers: &[(&str, &str)],
) -> Parts {
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={names},Signature={signature}");
    let mut all = vec![("authorization", &*authorization), ("x-amz-date", "20130524T000000Z")];
    all.extend(headers);
    request(method, target, &all).into_parts().0
}

const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");

#[test]
fn requests_of_the_guide_are_verified() {
    let nothing = ("x-amz-content-sha256", NOTHING);
    let text = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    for head in [
        signed(
            "GET",
            "/test.txt",
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            &[HOST, nothing, ("range", "bytes=0-9")],
        ),
        signed(
            "PUT",
            "/test$file.text",
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            &[
                HOST,
                ("x-amz-content-sha256", text),
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
        ),
        signed(
            "GET",
            "/?lifecycle",
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            &[HOST, nothing],
        ),
        signed(
            "GET",
            "/?max-keys=2&prefix=J",
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            &[HOST, nothing],
        ),
    ] {
        let verified = verified(&head);
        assert!(verified.is_ok(), "{}: {verified:?}", head.uri);
    }
}

#[test]
fn the_presigned_url_of_the_guide_is_verified() {
    let url = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
               &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
               &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
               &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let head = request("GET", url, &[HOST]).into_parts().0;
    assert!(verified(&head).unwrap().is_presigned());
    let other = request("PUT", url, &[HOST]).into_parts().0;
    assert_eq!(verified(&other).unwrap_err(), Refusal::WrongSignature);
    let more = request("GET", url, &[HOST, ("x-amz-acl", "public-read")]).into_parts().0;
    assert_eq!(verified(&more).unwrap_err(), Refusal::HeaderNotSigned);
}

/// The head of the chunked example, and its body.
pub fn chunked() -> (Parts, Vec<u8>) {
    let head = signed(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        &[
            ("host", "s3.amazonaws.com"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
            ("content-length", "66824"),
        ],
    );
    let body = framed(&[
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]);
    (head, [body, b"\r\n".to_vec()].concat())
}

/// The same with a trailer.
pub fn with_trailer() -> (Parts, Vec<u8>) {
    let head = signed(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
         x-amz-storage-class;x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        &[
            ("host", "s3.amazonaws.com"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
            ("x-amz-trailer", "x-amz-checksum-crc32c"),
        ],
    );
    let body = framed(&[
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]);
    let trailer = b"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:\
        d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";
    (head, [body, trailer.to_vec()].concat())
}

/// Two chunks and the line of the last.
fn framed(signatures: &[&str; 3]) -> Vec<u8> {
    let mut body = Vec::new();
    for (size, signature) in [65536, 1024, 0].into_iter().zip(signatures) {
        body.extend(format!("{size:x};chunk-signature={signature}\r\n").bytes());
        if size > 0 {
            body.extend(vec![b'a'; size]);
            body.extend(b"\r\n");
        }
    }
    body
}

#[test]
fn the_seeds_of_both_streams_are_verified() {
    for (head, body) in [chunked(), with_trailer()] {
        let verified = verified(&head).unwrap();
        assert!(verified.payload().is_chunked());
        let length =
            head.headers.get("content-length").map(|it| it.to_str().unwrap().parse().unwrap());
        assert!(length.is_none_or(|length: usize| length == body.len()), "{}", body.len());
    }
}
