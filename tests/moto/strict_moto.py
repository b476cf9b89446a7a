"""moto's server with the one thing in it that rotakey depends on made strict: who is let in.

Plain moto accepts an inactive key, knows a new key at once, and answers a refusal in a shape that not
every SDK can read. Here a door stands before moto: it verifies Signature V4 over the bytes that were
sent, in a header or in the URL, and refuses as AWS does. Behind it moto is unchanged and goes on to evaluate policies.

    strict_moto.py [--port N] [--visible-after S] [--lingers S] [--with-parent] [--everything]

One line of JSON on stdout says that it is ready. SIGTERM stops it. KEY_VISIBLE_AFTER and KEY_LINGERS
in the environment are the defaults of the two options.
"""

import argparse
import datetime
import hashlib
import hmac
import io
import json
import os
import re
import signal
import sys
import threading
import time
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

from moto import settings
from moto.core.exceptions import JsonRESTError, _RESTError
from moto.iam import access_control
from moto.iam.models import IAMBackend, User, iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.serving import WSGIRequestHandler, make_server

ACCOUNT = "123456789012"
CLOCK_SKEW_MAX_SECONDS = 900
TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/app"}}]}
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
APP = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["iam:*", "sts:*"], "Resource": "*"}]}
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>\w+)/"
    r"(?P<scope>(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request),"
    r"\s*SignedHeaders=(?P<names>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})")
MESSAGES = {
    "unknown": "The security token included in the request is invalid.",
    "signature": "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method.",
    "clock": "Signature expired or not yet current: the request's time is too far from the server's.",
    "missing": "Request is missing Authentication Token",
}
# What each protocol calls a refusal: HTTP status and code.
QUERY = {"unknown": (403, "InvalidClientTokenId"), "signature": (403, "SignatureDoesNotMatch"),
         "clock": (403, "SignatureDoesNotMatch"), "missing": (403, "MissingAuthenticationToken")}
JSON = {"unknown": (400, "UnrecognizedClientException"), "signature": (400, "InvalidSignatureException"),
        "clock": (400, "InvalidSignatureException"), "missing": (400, "MissingAuthenticationTokenException")}
S3 = {"unknown": (403, "InvalidAccessKeyId"), "signature": (403, "SignatureDoesNotMatch"),
      "clock": (403, "RequestTimeTooSkewed"), "missing": (403, "AccessDenied")}
EC2 = {kind: (401, "AuthFailure") for kind in MESSAGES}


class Refused(Exception):
    """Why the door stays shut: a key of MESSAGES."""


class Keys:
    """What the data planes know of each user key: a little later than IAM's own list does."""

    def __init__(self):
        self.visible_after = self.lingers = 0.0
        self.lock = threading.Lock()
        self.known = {}  # id -> (user name, secret, [(from when, accepted)])

    def changed(self, user_name, key, accepted):
        with self.lock:
            name, secret, turns = self.known.setdefault(key.access_key_id, (user_name, key.secret_access_key, []))
            at = time.monotonic() + (self.visible_after if accepted else self.lingers)
            # A later change overtakes an earlier one that has not arrived yet.
            turns[:] = [turn for turn in turns if turn[0] < at] + [(at, accepted)]

    def find(self, key_id):
        """(user name, secret) of a key that is accepted now, else None."""
        with self.lock:
            name, secret, turns = self.known.get(key_id, (None, None, []))
            arrived = [accepted for at, accepted in turns if at <= time.monotonic()]
        return (name, secret) if arrived and arrived[-1] else None


KEYS = Keys()


def patch_moto():
    create, update, delete = User.create_access_key, User.update_access_key, User.delete_access_key
    owner = IAMBackend.get_user_from_access_key_id

    def create_access_key(self, *args, **kwargs):
        key = create(self, *args, **kwargs)
        KEYS.changed(self.name, key, True)
        return key

    def update_access_key(self, access_key_id, status=None):
        before = self.get_access_key_by_id(access_key_id).status
        key = update(self, access_key_id, status)
        if key.status != before:
            KEYS.changed(self.name, key, key.status == "Active")
        return key

    def delete_access_key(self, access_key_id):
        key = self.get_access_key_by_id(access_key_id)
        delete(self, access_key_id)
        KEYS.changed(self.name, key, False)

    def get_user_from_access_key_id(self, access_key_id):
        found = owner(self, access_key_id)
        if found is None and (lingering := KEYS.find(access_key_id)):
            found = self.users.get(lingering[0])
        return found

    def user_key(self, account_id, partition, access_key_id, headers):
        self.account_id, self.partition, found = account_id, partition, KEYS.find(access_key_id)
        if found is None:
            raise access_control.CreateAccessKeyFailure(reason="InvalidId")
        self._access_key_id, (self._owner_user_name, self._secret_access_key) = access_key_id, found

    def access_denied(self):
        message = f"User: {self._access_key.arn} is not authorized to perform: {self._action}"
        if protocol(self._service, self._headers.get("Content-Type", "")) is JSON:
            raise JsonRESTError("AccessDeniedException", message)
        error = _RESTError("AccessDenied", message)
        error.code, error.description = 403, query_error("AccessDenied", message)
        raise error

    User.create_access_key, User.update_access_key, User.delete_access_key = (
        create_access_key, update_access_key, delete_access_key)
    IAMBackend.get_user_from_access_key_id = get_user_from_access_key_id
    access_control.IAMUserAccessKey.__init__ = user_key
    access_control.IAMRequestBase.check_signature = lambda self: None  # the door has done it, on raw bytes
    access_control.IAMRequest._raise_access_denied = access_denied


def protocol(service, content_type):
    if service in ("s3", "ec2"):
        return S3 if service == "s3" else EC2
    return QUERY if service in ("iam", "sts") or content_type.startswith("application/x-www-form-urlencoded") else JSON


def query_error(code, message):
    return (f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>")


def secret_of(key_id, token):
    if found := KEYS.find(key_id):
        if token:
            raise Refused("unknown")
        return found[1]
    for role in sts_backends[ACCOUNT]["aws"].assumed_roles:
        if role.access_key_id == key_id and role.session_token == token:
            return role.secret_access_key
    raise Refused("unknown")


def of_url(environ):
    """A signature in the URL, as the header has it (moto knows that form alone); its date, life and token."""
    given = dict(parse_qsl(environ["RAW_URI"].partition("?")[2], keep_blank_values=True))
    if "X-Amz-Signature" not in given or "HTTP_AUTHORIZATION" in environ:
        return None
    environ["HTTP_AUTHORIZATION"] = (
        f"{given.get('X-Amz-Algorithm')} Credential={given.get('X-Amz-Credential')}, "
        f"SignedHeaders={given.get('X-Amz-SignedHeaders')}, Signature={given['X-Amz-Signature']}")
    if "X-Amz-Security-Token" in given:
        environ["HTTP_X_AMZ_SECURITY_TOKEN"] = given["X-Amz-Security-Token"]
    return given.get("X-Amz-Date", ""), int(given.get("X-Amz-Expires", 0))


def verify(environ, body):
    """Signature Version 4, from the request line and the body as they came over the wire."""
    url = of_url(environ)
    auth = AUTHORIZATION.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if auth is None:
        raise Refused("missing")

    def header(name):
        variable = name.upper().replace("-", "_")
        return environ.get(variable if name in ("content-type", "content-length") else "HTTP_" + variable, "")

    secret = secret_of(auth["id"], header("x-amz-security-token"))
    stamp = url[0] if url else header("x-amz-date")
    try:
        sent = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
    except ValueError:
        raise Refused("missing") from None
    age = time.time() - sent
    if age > url[1] or age < -CLOCK_SKEW_MAX_SECONDS if url else abs(age) > CLOCK_SKEW_MAX_SECONDS:
        raise Refused("clock")
    path, _, query = environ["RAW_URI"].partition("?")
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    encode = lambda text: quote(unquote(text), safe="-_.~")
    digest, claimed = hashlib.sha256(body).hexdigest(), "UNSIGNED-PAYLOAD" if url else header("x-amz-content-sha256")
    if re.fullmatch("[0-9a-f]{64}", claimed) and claimed != digest:
        raise Refused("signature")
    names = auth["names"].split(";")
    canonical = "\n".join([
        environ["REQUEST_METHOD"],
        path if auth["service"] == "s3" else quote(path, safe="/-_.~"),
        "&".join(sorted(f"{encode(name)}={encode(value)}" for name, _, value in pairs if name != "X-Amz-Signature")),
        *(f"{name}:{' '.join(header(name).split())}" for name in names), "",
        auth["names"], claimed or digest])
    key = b"AWS4" + secret.encode()
    for part in (auth["date"], auth["region"], auth["service"], "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, auth["scope"], hashlib.sha256(canonical.encode()).hexdigest()])
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), auth["signature"]):
        raise Refused("signature")


class Door:
    """Lets a request through to moto when its signature is right. moto's own /moto-api stays shut."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        stream = environ["wsgi.input"]
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = stream.read() if environ.get("wsgi.input_terminated") else stream.read(size)
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            verify(environ, body)
        except Refused as refusal:
            return self.refuse(str(refusal), environ, start_response)
        return self.app(environ, start_response)

    @staticmethod
    def refuse(kind, environ, start_response):
        scope = re.search(r"Credential=[^/]*/[^/]*/[^/]*/([^/]*)/", environ.get("HTTP_AUTHORIZATION", ""))
        table = protocol(scope[1] if scope else "", environ.get("CONTENT_TYPE", ""))
        (status, code), message = table[kind], MESSAGES[kind]
        error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        if table is JSON:
            text = json.dumps({"__type": code, "message": message})
        else:
            text = {id(S3): error, id(EC2): f"<Response><Errors>{error}</Errors></Response>"}.get(
                id(table), query_error(code, message))
        body = text.encode()
        start_response(f"{status} Refused", [
            ("Content-Type", "application/x-amz-json-1.1" if table is JSON else "text/xml"),
            ("Content-Length", str(len(body))), ("x-amzn-ErrorType", code)])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


class Quiet(WSGIRequestHandler):
    def log_request(self, *_):
        pass


def add_user(name, policy):
    backend = iam_backends[ACCOUNT]["aws"]
    backend.create_user("us-east-1", name)
    backend.put_user_policy(name, "all", json.dumps(policy))
    key = backend.create_access_key(name)
    return {"user": name, "access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}


def main():
    parser = argparse.ArgumentParser(description="a moto server that lets in only whom AWS would let in")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", 0)))
    parser.add_argument("--visible-after", type=float, default=float(os.environ.get("KEY_VISIBLE_AFTER", 0)))
    parser.add_argument("--lingers", type=float, default=float(os.environ.get("KEY_LINGERS", 0)))
    parser.add_argument("--with-parent", action="store_true", help="stop when stdin is closed")
    parser.add_argument("--everything", action="store_true", help="the user may do all, and take on the role `worker`")
    args = parser.parse_args()
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    patch_moto()
    app, admin = add_user("app", EVERYTHING if args.everything else APP), add_user("admin", EVERYTHING)
    backend = iam_backends[ACCOUNT]["aws"]
    backend.create_role("worker", json.dumps(TRUST), "/", None, "", [], "3600")
    backend.put_role_policy("worker", "all", json.dumps(EVERYTHING))
    KEYS.visible_after, KEYS.lingers = args.visible_after, args.lingers
    server = make_server("127.0.0.1", args.port, Door(DomainDispatcherApplication(create_backend_app)),
                         threaded=True, request_handler=Quiet)
    os.environ["MOTO_PORT"] = str(server.port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if args.with_parent:
        threading.Thread(target=lambda: (sys.stdin.read(), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()
    print(json.dumps({"endpoint_url": f"http://127.0.0.1:{server.port}", **app, "admin": admin}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
