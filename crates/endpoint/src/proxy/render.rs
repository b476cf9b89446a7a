//! Refusals in the protocol of whoever asked, so that its SDK finds the code where it looks for it.

use bytes::{BufMut, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderValue, Response, header};
use http_body_util::Full;

use super::refusal::{Codes, Refusal};
use super::uri::is_s3;

/// How a client wants its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `<Error><Code>`: S3.
    S3,
    /// `<ErrorResponse><Error><Code>`: query services, and those of REST with XML.
    Xml,
    /// `<Response><Errors><Error><Code>`: EC2.
    Ec2,
    /// JSON with `__type`, of this version of `application/x-amz-json-…`.
    Json(&'static str),
    /// JSON with the code in a header: services of REST.
    RestJson,
    /// CBOR.
    Cbor,
}

/// The services of REST whose bodies are XML (botocore: `rest-xml`), but S3.
const REST_XML: [&str; 3] = ["cloudfront", "route53", "s3control"];

impl Protocol {
    /// Tells it by the head of a request, and by the service it is signed for, if that is known.
    pub fn of(head: &Parts, service: Option<&str>) -> Self {
        let text =
            |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (content_type, service) = (text("content-type"), service.unwrap_or("s3"));
        if text("smithy-protocol") == "rpc-v2-cbor" {
            Self::Cbor
        } else if !text("x-amz-target").is_empty() {
            Self::Json(if content_type.ends_with("1.1") { "1.1" } else { "1.0" })
        } else if is_s3(service) {
            Self::S3
        } else if service == "ec2" {
            Self::Ec2
        } else if content_type.starts_with("application/x-www-form-urlencoded")
            || REST_XML.contains(&service)
            || head
                .uri
                .query()
                .is_some_and(|query| query.starts_with("Action=") || query.contains("&Action="))
        {
            Self::Xml
        } else {
            Self::RestJson
        }
    }
}

impl Refusal {
    /// The answer. `request_id` is what the account of refusals knows it by.
    pub fn answer(self, protocol: Protocol, request_id: &str) -> Response<Full<Bytes>> {
        let Codes { status, s3, query, json } = self.codes();
        let message = self.to_string();
        let (id, text) = (escaped(request_id), escaped(&message));
        let (content_type, code, body) = match protocol {
            Protocol::S3 => ("application/xml", s3, {
                format!(
                    "{XML}<Error><Code>{s3}</Code><Message>{text}</Message><RequestId>{id}</RequestId></Error>"
                )
            }),
            Protocol::Xml => ("text/xml", query, {
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{query}</Code>\
                     <Message>{text}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
                )
            }),
            // EC2 has names of its own for two of them.
            Protocol::Ec2 => ("text/xml", query, {
                let code = match query {
                    "InvalidClientTokenId" | "SignatureDoesNotMatch" => "AuthFailure",
                    other => other,
                };
                format!(
                    "{XML}<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message>\
                     </Error></Errors><RequestID>{id}</RequestID></Response>"
                )
            }),
            Protocol::Json(_) | Protocol::RestJson => {
                let body =
                    serde_json::json!({ "__type": json, "message": message, "Message": message });
                let content_type = match protocol {
                    Protocol::Json("1.1") => "application/x-amz-json-1.1",
                    Protocol::Json(_) => "application/x-amz-json-1.0",
                    _ => "application/json",
                };
                (content_type, json, body.to_string())
            }
            Protocol::Cbor => ("application/cbor", json, String::new()),
        };
        let body = match protocol {
            Protocol::Cbor => cbor(json, &message),
            _ => body.into(),
        };
        let mut answer = Response::new(Full::new(body));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        match protocol {
            Protocol::Cbor => {
                headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
            }
            Protocol::Json(_) | Protocol::RestJson => {
                headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
            }
            _ => {}
        }
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-amz-request-id", id.clone());
            headers.insert("x-amzn-requestid", id);
        }
        answer
    }
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A map of two texts (RFC 8949).
fn cbor(code: &str, message: &str) -> Bytes {
    let mut bytes = BytesMut::with_capacity(64 + message.len());
    bytes.put_u8(0xa2);
    for text in ["__type", code, "message", message] {
        bytes.put_u8(0x79); // A text whose length is two bytes long.
        bytes.put_u16(u16::try_from(text.len()).unwrap_or_default());
        bytes.put_slice(text.as_bytes());
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn head(target: &str, lines: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri(target);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn the_protocol_is_told_by_what_is_sent() {
        let target = [("x-amz-target", "DynamoDB_20120810.GetItem")];
        let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        for (head, service, protocol) in [
            (head("/b/k", &[]), Some("s3"), Protocol::S3),
            (head("/b/k", &[]), None, Protocol::S3),
            (head("/", &target), Some("dynamodb"), Protocol::Json("1.0")),
            (head("/", &form), Some("sts"), Protocol::Xml),
            (head("/?Action=ListUsers", &[]), Some("iam"), Protocol::Xml),
            (head("/", &form), Some("ec2"), Protocol::Ec2),
            (head("/2013-04-01/hostedzone", &[]), Some("route53"), Protocol::Xml),
            (head("/2015-03-31/functions", &[]), Some("lambda"), Protocol::RestJson),
            (head("/", &[("smithy-protocol", "rpc-v2-cbor")]), Some("monitoring"), Protocol::Cbor),
        ] {
            assert_eq!(Protocol::of(&head, service), protocol, "{head:?}");
        }
    }

    #[test]
    fn every_protocol_has_the_code_where_its_sdks_look() {
        let body = |protocol| {
            let answer = Refusal::UnknownKey.answer(protocol, "7<");
            assert_eq!(answer.status(), 403);
            let headers = answer.headers().clone();
            let body = answer.into_body().collect();
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let std::task::Poll::Ready(Ok(body)) = std::pin::pin!(body).poll(&mut context) else {
                panic!("it is there at once")
            };
            (headers, body.to_bytes())
        };
        let (_, s3) = body(Protocol::S3);
        let s3 = String::from_utf8_lossy(&s3);
        assert!(s3.contains("<Error><Code>InvalidAccessKeyId</Code>"), "{s3}");
        assert!(s3.contains("<RequestId>7&lt;</RequestId>"), "{s3}");
        let (_, xml) = body(Protocol::Xml);
        assert!(String::from_utf8_lossy(&xml).contains("<Code>InvalidClientTokenId</Code>"));
        let (_, ec2) = body(Protocol::Ec2);
        assert!(String::from_utf8_lossy(&ec2).contains("<Errors><Error><Code>AuthFailure</Code>"));
        let (headers, json) = body(Protocol::Json("1.1"));
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["__type"], "UnrecognizedClientException");
        assert_eq!(headers["x-amzn-errortype"], "UnrecognizedClientException");
        assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
        let (_, cbor) = body(Protocol::Cbor);
        assert!(cbor.starts_with(b"\xa2\x79\x00\x06__type\x79\x00\x1bUnrecognizedClientException"));
    }
}
