"""signatures.py lets in what botocore signs, and refuses it once anything is changed: what the matrix rests on."""

import datetime
import hashlib
import hmac
import sys
from urllib.parse import urlsplit

import botocore.auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from signatures import EMPTY, Refused, Request, check

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
STREAM = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


def environ(request, body):
    """As a server of Python hands it on."""
    parts = urlsplit(request.url)
    made = {"REQUEST_METHOD": request.method, "RAW_URI": parts.path + (f"?{parts.query}" if parts.query else "")}
    for name, value in {"host": parts.netloc, **dict(request.headers)}.items():
        variable = name.upper().replace("-", "_")
        made[variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"] = value
    return made, body


def let_in(made, body):
    try:
        return check(Request(made, body), {KEY: SECRET}.get)
    except Refused as refusal:
        return refusal.why


def signed(auth, service, path="/bucket/a%20b/..//c?x=1&prefix=a%2Bb", body=b"body", headers=None, key=(KEY, SECRET)):
    body = b"" if auth is S3SigV4QueryAuth else body  # it would take it for parameters
    request = AWSRequest("PUT", f"http://127.0.0.1:9{path}", data=body, headers=headers or {"x-amz-meta-a": "1  2"})
    auth(Credentials(*key), service, "us-east-1").add_auth(request)
    return environ(request, body)


class Stream(S3SigV4Auth):
    """Signs the seed of a stream."""

    def payload(self, request):
        return f"{STREAM}-TRAILER" if "x-amz-trailer" in request.headers else STREAM

    def _inject_signature_to_request(self, request, signature):
        self.__class__.seed = signature
        return super()._inject_signature_to_request(request, signature)


def stream(pieces, trailer=None):
    """A body in signed chunks, and its head."""
    headers = {"x-amz-decoded-content-length": str(sum(map(len, pieces)))} | ({"x-amz-trailer": "x-amz-meta-t"} if trailer else {})
    made, _ = signed(Stream, "s3", body=b"", headers=headers)
    stamp = made["HTTP_X_AMZ_DATE"]
    derived = b"AWS4" + SECRET.encode()
    for part in (stamp[:8], "us-east-1", "s3", "aws4_request"):
        derived = hmac.digest(derived, part.encode(), "sha256")
    before, body = Stream.seed, b""

    def sign(kind, *lines):
        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", stamp, f"{stamp[:8]}/us-east-1/s3/aws4_request", before, *lines])
        return hmac.digest(derived, text.encode(), "sha256").hex()

    for piece in [*pieces, b""]:
        before = sign("PAYLOAD", EMPTY, hashlib.sha256(piece).hexdigest())
        body += f"{len(piece):x};chunk-signature={before}\r\n".encode() + piece + (b"\r\n" if piece else b"")
    if trailer:
        last = sign("TRAILER", hashlib.sha256(b"x-amz-meta-t:" + trailer + b"\n").hexdigest())
        body += b"x-amz-meta-t:" + trailer + f"\r\nx-amz-trailer-signature:{last}\r\n".encode()
    return made, body + b"\r\n"


def main():
    wrong = []

    def expect(what, request, is_let_in):
        said = let_in(*request)
        if isinstance(said, str) == is_let_in:
            wrong.append(f"{what}: {str(said)[:200]}")

    for auth, service in [(S3SigV4Auth, "s3"), (SigV4Auth, "lambda"), (S3SigV4QueryAuth, "s3")]:
        what = f"{auth.__name__} for {service}"
        made, body = signed(auth, service)
        expect(what, (made, body), True)
        expect(f"{what}, other method", (made | {"REQUEST_METHOD": "POST"}, body), False)
        expect(f"{what}, other path", (made | {"RAW_URI": made["RAW_URI"].replace("c?", "d?")}, body), False)
        expect(f"{what}, other query", (made | {"RAW_URI": made["RAW_URI"] + "&y=1"}, body), False)
        expect(f"{what}, other host", (made | {"HTTP_HOST": "127.0.0.1:8"}, body), False)
        expect(f"{what}, header added", (made | {"HTTP_X_AMZ_ACL": "public-read"}, body), False)
        if "Query" not in what:
            expect(f"{what}, other body", (made, body + b"x"), False)
        expect(f"{what}, other secret", signed(auth, service, key=(KEY, "x")), False)
        expect(f"{what}, no such key", signed(auth, service, key=("AKIANOBODY", SECRET)), False)
    now = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *_, **__: now() - datetime.timedelta(minutes=16)
    expect("an old one", signed(S3SigV4Auth, "s3"), False)
    botocore.auth.get_current_datetime = now
    for trailer in (None, b"value"):
        made, body = stream([b"a" * 70_000, b"b"], trailer)
        expect("a stream", (made, body), True)
        expect("a stream, a byte of its first chunk", (made, body.replace(b"aaaa", b"aaba", 1)), False)
        expect("a stream, its second chunk", (made, body.replace(b"\r\nb\r\n", b"\r\nc\r\n")), False)
        expect("a stream without its second chunk", (made, body[: body.index(b"\r\n1;") + 2] + body[body.index(b"\r\n0;") + 2:]), False)
        expect("a stream without its end", (made, body[: body.index(b"\r\n0;") + 2]), False)
        if trailer:
            expect("a stream, its trailer", (made, body.replace(b"value", b"other")), False)
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
