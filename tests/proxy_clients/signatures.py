"""Signatures from the server's side: version 4 in headers, URLs and chunks, version 2 in URLs. From AWS's documents."""

import base64
import calendar
import hashlib
import hmac
import re
import time
import zlib
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

SKEW_SECONDS = 900
EMPTY = hashlib.sha256(b"").hexdigest()
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]{64})")
# What of a URL's query belongs to what version 2 signs.
V2_RESOURCES = set("acl cors delete lifecycle location logging notification partNumber policy requestPayment tagging torrent "
                   "uploadId uploads versionId versioning versions website response-content-type response-expires "
                   "response-content-language response-cache-control response-content-disposition "
                   "response-content-encoding".split())


class Refused(Exception):
    """`kind` is a key of strict_moto.MESSAGES; `why` is for people; `key` is who it says that it is."""

    def __init__(self, kind, why, key=None):
        super().__init__(why)
        self.kind, self.why, self.key = kind, why, key


class Request:
    """A request as it came over the wire."""

    def __init__(self, environ, body):
        self.environ, self.body, self.method = environ, body, environ["REQUEST_METHOD"]
        self.path, _, query = environ["RAW_URI"].partition("?")
        pairs = [pair.partition("=") for pair in query.split("&") if pair]
        self.pairs = [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]
        names = [name[5:] for name in environ if name.startswith("HTTP_")]
        self.names = {name.lower().replace("_", "-") for name in names}

    def header(self, name):
        variable = name.upper().replace("-", "_")
        return self.environ.get(variable if name in ("content-type", "content-length") else "HTTP_" + variable, "")

    def query(self, name):
        found = [value.decode() for given, value in self.pairs if given.decode("latin-1").lower() == name.lower()]
        return found[0] if found else None


@dataclass
class Checked:
    """Who signed it, and what was meant."""

    key: str
    region: str
    service: str
    payload: str
    body: bytes
    query: str


def encoded(data):
    return quote(data, safe="-_.~")


def joined(pairs):
    return "&".join(sorted(f"{encoded(name)}={encoded(value)}" for name, value in pairs))


def canonical_path(path, service):
    if service == "s3":
        return quote(unquote_to_bytes(path), safe="/-_.~")
    kept = []
    for part in path.split("/")[1:]:
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    is_folder = len(kept) > 0 and path.endswith("/")
    return quote("/" + "/".join(kept) + ("/" if is_folder else ""), safe="/-_.~")


def check(request, secret_of):
    """Whoever signed the request, or a refusal."""
    if request.query("AWSAccessKeyId"):
        return version_2(request, secret_of)
    if in_url := request.query("X-Amz-Signature"):
        credential, names = request.query("X-Amz-Credential"), request.query("X-Amz-SignedHeaders")
        stamp, signature = request.query("X-Amz-Date"), in_url
    else:
        found = AUTHORIZATION.fullmatch(request.header("authorization"))
        if not found:
            raise Refused("missing", "no signature")
        credential, names, signature = found.groups()
        stamp = request.header("x-amz-date")
    key, day, region, service, end = credential.split("/")
    secret = secret_of(key)
    if secret is None:
        raise Refused("unknown", "no such key", key)
    at = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    lasts = int(request.query("X-Amz-Expires")) if in_url else SKEW_SECONDS
    if end != "aws4_request" or day != stamp[:8] or not at - SKEW_SECONDS < time.time() < at + lasts:
        raise Refused("clock", "too old, or from the future", key)
    signed = names.split(";")
    bare = sorted(name for name in request.names if name.startswith("x-amz-") and name not in signed)
    if bare or "host" not in signed:
        raise Refused("signature", f"not signed: {bare}", key)
    payload = request.header("x-amz-content-sha256")
    if service == "s3" and not payload and not in_url:
        raise Refused("missing", "no x-amz-content-sha256", key)
    claimed = payload or ("UNSIGNED-PAYLOAD" if in_url and service == "s3" else hashlib.sha256(request.body).hexdigest())
    canonical = "\n".join([
        request.method, canonical_path(request.path, service),
        joined([pair for pair in request.pairs if pair[0].lower() != b"x-amz-signature"]),
        *(f"{name}:{' '.join(request.header(name).split())}" for name in signed), "", names, claimed])
    derived = b"AWS4" + secret.encode()
    for part in (day, region, service, end):
        derived = hmac.digest(derived, part.encode(), "sha256")
    scope = f"{day}/{region}/{service}/aws4_request"

    def sign(algorithm, *lines):
        text = "\n".join([algorithm, stamp, scope, *lines])
        return hmac.digest(derived, text.encode(), "sha256").hex()

    if sign("AWS4-HMAC-SHA256", hashlib.sha256(canonical.encode("latin-1")).hexdigest()) != signature:
        raise Refused("signature", f"wrong signature of {canonical!r}", key)
    try:
        body = opened(request, claimed, sign, signature)
    except (ValueError, IndexError) as error:
        raise Refused("signature", f"body: {error}", key) from error
    kind = "hash" if re.fullmatch("[0-9a-f]{64}", claimed) else claimed
    left = [pair for pair in request.pairs if not (in_url and pair[0].lower().startswith(b"x-amz-"))]
    return Checked(key, region, service, "URL" if in_url else kind if payload else "no hash", body, joined(left))


def opened(request, claimed, sign, seed):
    """The body that was meant, checked in the way that it claims."""
    if claimed == "UNSIGNED-PAYLOAD":
        return request.body
    if not claimed.startswith("STREAMING-"):
        if hashlib.sha256(request.body).hexdigest() != claimed:
            raise ValueError("its hash is another")
        return request.body
    signed, has_trailer = claimed.startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), claimed.endswith("-TRAILER")
    rest, data, before = request.body, b"", seed
    while True:
        line, rest = rest.split(b"\r\n", 1)
        size, _, extension = line.partition(b";")
        chunk, rest = rest[: int(size, 16)], rest[int(size, 16):]
        if signed:
            given = extension.removeprefix(b"chunk-signature=").decode()
            own = sign("AWS4-HMAC-SHA256-PAYLOAD", before, EMPTY, hashlib.sha256(chunk).hexdigest())
            if given != own:
                raise ValueError(f"the signature of the chunk at {len(data)} is wrong")
            before = own
        data += chunk
        if not chunk:
            break
        if rest[:2] != b"\r\n":
            raise ValueError("a chunk does not end")
        rest = rest[2:]
    lines = [line for line in rest.split(b"\r\n") if line]
    trailers = dict(line.split(b":", 1) for line in lines)
    if has_trailer != bool(trailers) or int(request.header("x-amz-decoded-content-length")) != len(data):
        raise ValueError("its trailer or its length is not as announced")
    if signed and has_trailer:
        given = trailers.pop(b"x-amz-trailer-signature").decode()
        text = b"".join(name + b":" + value + b"\n" for name, value in trailers.items())
        if given != sign("AWS4-HMAC-SHA256-TRAILER", before, hashlib.sha256(text).hexdigest()):
            raise ValueError("the signature of the trailer is wrong")
    if has_trailer and sorted(trailers) != sorted(request.header("x-amz-trailer").encode().split(b",")):
        raise ValueError(f"other trailers than announced: {trailers}")
    checksums(trailers, data)
    return data


def checksums(trailers, data):
    own = {b"x-amz-checksum-crc32": zlib.crc32(data).to_bytes(4, "big"),
           b"x-amz-checksum-sha256": hashlib.sha256(data).digest()}
    for name, value in trailers.items():
        if name in own and base64.b64decode(value) != own[name]:
            raise ValueError(f"{name} is wrong")


def version_2(request, secret_of):
    key, expires = request.query("AWSAccessKeyId"), request.query("Expires")
    secret = secret_of(key)
    if secret is None:
        raise Refused("unknown", "no such key", key)
    if int(expires) < time.time():
        raise Refused("clock", "expired", key)
    of_query = sorted((name.decode(), value.decode()) for name, value in request.pairs if name.decode() in V2_RESOURCES)
    resource = "&".join(f"{name}={value}" if value else name for name, value in of_query)
    text = "\n".join([request.method, request.header("content-md5"), request.header("content-type"), expires,
                      request.path + (f"?{resource}" if resource else "")])
    own = base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()
    if own != request.query("Signature"):
        raise Refused("signature", f"wrong signature of {text!r}", key)
    left = [pair for pair in request.pairs if pair[0] not in (b"AWSAccessKeyId", b"Expires", b"Signature")]
    return Checked(key, "us-east-1", "s3", "URL", request.body, joined(left))
