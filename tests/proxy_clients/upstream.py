"""What the matrix's clients reach through the proxy: moto behind a door that checks every signature in full.

It knows all the ways in which the clients of the matrix sign: headers, URLs (also version 2), given and implicit
hashes, and every chunk and trailer of a stream. It is written from AWS's documents and shares no code with the proxy.
The door opens chunked bodies itself, so that moto stores what was meant. What came is told at /_matrix:

    /_matrix/log             each request: who signed it, what it was, and why it was refused, if it was
    /_matrix/objects/BUCKET  {key: [bytes, sha256]}, as stored

One line of JSON on stdout says that it is ready; the end of its input ends it.
"""

import hashlib
import io
import json
import os
import re
import sys
import threading
import zipfile
from base64 import b64encode
from urllib.parse import unquote, unquote_to_bytes

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "moto"))

import strict_moto  # noqa: E402
from moto.awslambda.models import lambda_backends  # noqa: E402
from moto.dynamodb.models import dynamodb_backends  # noqa: E402
from moto.iam.models import iam_backends  # noqa: E402
from moto.kinesis.models import kinesis_backends  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: E402
from moto.s3.models import s3_backends  # noqa: E402
from moto.sqs.models import sqs_backends  # noqa: E402
from signatures import Refused, Request, check  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

REGION, ACCOUNT = "us-east-1", strict_moto.ACCOUNT
# Who goes to AWS's own hosts may put the bucket before them.
BUCKET_HOST = re.compile(r"([a-z0-9.-]+)\.(s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com)")


class Door:
    """Lets in what is signed rightly, and writes down what came."""

    def __init__(self, app):
        self.app, self.log, self.lock = app, [], threading.Lock()

    def __call__(self, environ, start_response):
        stream, size = environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0)
        body = stream.read() if environ.get("wsgi.input_terminated") else stream.read(size)
        if environ["RAW_URI"].startswith("/_matrix/"):
            return self.tell(unquote(environ["RAW_URI"]), start_response)
        request = Request(environ, body)
        line = {"method": request.method, "target": environ["RAW_URI"], "user_agent": request.header("user-agent"),
                "host": request.header("host"), "key": None, "service": None, "payload": None, "refused": None}
        try:
            checked = check(request, lambda key: (strict_moto.KEYS.find(key) or (None, None))[1])
            line |= {"key": checked.key, "service": checked.service, "payload": checked.payload}
        except Refused as refusal:
            line |= {"key": refusal.key, "refused": refusal.why}
            self.note(line)
            return strict_moto.Door.refuse(refusal.kind, environ, start_response)
        self.note(line)
        self.open(environ, checked)
        return self.as_s3_does(environ, start_response) if checked.service == "s3" else self.app(environ, start_response)

    def as_s3_does(self, environ, start_response):
        """Where moto answers otherwise than S3, and clients mind: rclone and the SDK for C++ do."""
        heads = []
        body = b"".join(self.app(environ, lambda status, headers, *_: heads.append((status, headers))))
        status, headers = heads[0]
        body = body.replace(b"CompleteMultipartUploadResponse", b"CompleteMultipartUploadResult")
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        headers = [(name, str(len(body)) if name == "Content-Length" and not is_head else value)
                   for name, value in headers if (name, value) != ("x-amz-version-id", "null")]
        start_response(status, headers)
        return [body]

    @staticmethod
    def open(environ, checked):
        """Hands moto the body that was meant, and no signature but the scope, by which it finds the service."""
        for name in ("HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "wsgi.input_terminated", "HTTP_X_AMZ_CONTENT_SHA256",
                     "HTTP_X_AMZ_TRAILER", "HTTP_X_AMZ_DECODED_CONTENT_LENGTH"):
            environ.pop(name, None)
        codings = [coding.strip() for coding in environ.get("HTTP_CONTENT_ENCODING", "").split(",")]
        if left := [coding for coding in codings if coding and coding != "aws-chunked"]:
            environ["HTTP_CONTENT_ENCODING"] = ",".join(left)
        else:
            environ.pop("HTTP_CONTENT_ENCODING", None)
        environ["PATH_INFO"] = unquote_to_bytes(environ["RAW_URI"].partition("?")[0]).decode("latin-1")
        if bucket := BUCKET_HOST.fullmatch(environ["HTTP_HOST"]):
            for name in ("RAW_URI", "PATH_INFO"):
                environ[name] = f"/{bucket[1]}{environ[name]}"
            environ["HTTP_HOST"] = bucket[2]
        if checked.service == "s3" and "form" in environ.get("CONTENT_TYPE", ""):
            environ.pop("CONTENT_TYPE")  # curl's default; a body is a body to S3
        environ |= {"wsgi.input": io.BytesIO(checked.body), "CONTENT_LENGTH": str(len(checked.body)),
                    "QUERY_STRING": checked.query, "HTTP_X_AMZ_CONTENT_SHA256": "UNSIGNED-PAYLOAD",
                    "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential={checked.key}/20260101/{checked.region}/"
                    f"{checked.service}/aws4_request, SignedHeaders=host, Signature=0"}
        environ["RAW_URI"] = environ["REQUEST_URI"] = environ["RAW_URI"].partition("?")[0] + (
            f"?{checked.query}" if checked.query else "")

    def note(self, line):
        with self.lock:
            self.log.append(line)

    def tell(self, path, start_response):
        if path == "/_matrix/log":
            with self.lock:
                said, self.log = self.log, []
        else:
            keys = s3_backends[ACCOUNT]["aws"].buckets[path.removeprefix("/_matrix/objects/")].keys
            values = {name: bytes(keys[name].value) for name in keys}
            said = {name: [len(value), hashlib.sha256(value).hexdigest()] for name, value in values.items()}
        body = json.dumps(said).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


class Handler(strict_moto.Quiet):
    """Python's own makes one slash of several at the beginning of a path; a key may have them there."""

    def parse_request(self):
        is_good = super().parse_request()
        if is_good:
            self.path = self.requestline.split(" ")[1]
        return is_good


def app(service):
    made = create_backend_app(service)
    made.url_map.merge_slashes = False  # a key of S3 may have two in a row
    return made


def furnish(names, small):
    """For each name: a bucket with things to read, one for odd keys, a queue; and what all of them share."""
    s3, sqs = s3_backends[ACCOUNT]["aws"], sqs_backends[ACCOUNT][REGION]
    for name in names:
        for bucket in (name, f"{name}-dots", f"{name}-odd"):
            s3.create_bucket(bucket, REGION)
        for key in ("get", "list/a b", "list/c+d", "list/ü%20"):
            s3.put_object(name, key, small)
        sqs.create_queue(name)
    dynamodb_backends[ACCOUNT][REGION].create_table(
        "table", schema=[{"AttributeName": "id", "KeyType": "HASH"}], throughput=None,
        attr=[{"AttributeName": "id", "AttributeType": "S"}], global_indexes=[], indexes=[], streams=None,
        billing_mode="PAY_PER_REQUEST", sse_specification=None, tags=[], deletion_protection_enabled=False,
        warm_throughput=None)
    kinesis_backends[ACCOUNT][REGION].create_stream("stream", 1)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as code:
        code.writestr("function.py", "")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam_backends[ACCOUNT]["aws"].create_role("role", json.dumps(trust), "/", None, "", {}, "3600").arn
    lambda_backends[ACCOUNT][REGION].create_function(
        {"FunctionName": "function", "Runtime": "python3.13", "Role": role, "Handler": "function.handler",
         "Code": {"ZipFile": b64encode(packed.getvalue()).decode()}, "Environment": {}})


def main():
    strict_moto.patch_moto()
    users = {name: strict_moto.add_user(name, strict_moto.EVERYTHING) for name in ("app", "direct")}
    with open(sys.argv[1], "rb") as small:
        furnish(sys.argv[2:], small.read())
    server = make_server("127.0.0.1", 0, Door(DomainDispatcherApplication(app)), threaded=True,
                         request_handler=Handler)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(json.dumps({"endpoint_url": f"http://127.0.0.1:{server.port}", **users}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
