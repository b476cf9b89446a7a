"""Real clients against the embedded simulator: boto3 and the AWS CLI take it for AWS.

    clients.py SCENARIO      with ENDPOINT, KEY_ID, SECRET and AWS (the CLI's path) in the environment

The user is `app`, with that one key, and there is a role `r` that trusts it.
"""

import base64
import hashlib
import hmac
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zlib

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ENDPOINT, KEY_ID, SECRET = (os.environ[name] for name in ("ENDPOINT", "KEY_ID", "SECRET"))
ROLE = "arn:aws:iam::123456789012:role/r"
CONFIG = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="v4")
MIB = 1 << 20


def control(**order):
    body = json.dumps(order).encode()
    with urllib.request.urlopen(ENDPOINT + "/_simulator", body) as answer:
        return json.load(answer)


def client(service, credentials=None, config=CONFIG):
    if credentials is None:
        credentials = {"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET}
    if service == "s3":
        config = config.merge(Config(signature_version="s3v4"))
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name="eu-west-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials.get("SessionToken"),
        config=config,
    )


def session(**more):
    return client("sts").get_session_token(**more)["Credentials"]


def refused(code, status, call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        told = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert told == (code, status), f"{told} {error}"
    else:
        raise AssertionError(f"{code} expected, got {answer}")


def fetch(url, method="GET", body=None):
    request = urllib.request.Request(url, data=body, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def objects(s3):
    """Put, get, list, copy, delete, with names and values that are easy to sign wrongly."""
    s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert s3.head_bucket(Bucket="data")["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "eu-west-1"
    assert s3.get_bucket_location(Bucket="data")["LocationConstraint"] == "eu-west-1"
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["data"]
    keys = ["a b+c/(d)'!*.txt", "a b+c/ü=&%2F.txt", "dir/one", "dir/two", "top"]
    for key in keys:
        put = s3.put_object(Bucket="data", Key=key, Body=key.encode(), Metadata={"mark": "a  b"})
        assert put["ETag"].strip('"') == hashlib.md5(key.encode()).hexdigest()
        got = s3.get_object(Bucket="data", Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (key.encode(), {"mark": "a  b"})
    part = s3.get_object(Bucket="data", Key="dir/one", Range="bytes=1-2")
    assert (part["Body"].read(), part["ContentRange"]) == (b"ir", "bytes 1-2/7")
    assert s3.head_object(Bucket="data", Key="top")["ContentLength"] == 3

    for version in ("list_objects", "list_objects_v2"):
        pages = s3.get_paginator(version).paginate(Bucket="data", PaginationConfig={"PageSize": 2})
        assert [row["Key"] for page in pages for row in page["Contents"]] == sorted(keys), version
        listed = getattr(s3, version)(Bucket="data", Delimiter="/", MaxKeys=2)
        assert [row["Prefix"] for row in listed["CommonPrefixes"]] == ["a b+c/", "dir/"]
        assert listed["IsTruncated"], version
        pages = s3.get_paginator(version).paginate(
            Bucket="data", Delimiter="/", PaginationConfig={"PageSize": 1})
        found = [row for page in pages for row in page.get("CommonPrefixes", []) + page.get("Contents", [])]
        assert len(found) == 3, found
        listed = getattr(s3, version)(Bucket="data", Prefix="a b+c/ü=&")
        assert len(listed["Contents"]) == 1, version

    s3.copy_object(Bucket="data", Key="copy", CopySource={"Bucket": "data", "Key": keys[0]})
    assert s3.get_object(Bucket="data", Key="copy")["Body"].read() == keys[0].encode()
    s3.delete_object(Bucket="data", Key="copy")
    refused("NoSuchKey", 404, s3.get_object, Bucket="data", Key="copy")
    refused("404", 404, s3.head_object, Bucket="data", Key="copy")
    refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket="none")
    refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket="data")
    gone = s3.delete_objects(Bucket="data", Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(row["Key"] for row in gone["Deleted"]) == sorted(keys)
    s3.delete_bucket(Bucket="data")


def s3():
    """All of it with the key, with a session, and with a role."""
    objects(client("s3"))
    objects(client("s3", session()))
    role = client("sts").assume_role(RoleArn=ROLE, RoleSessionName="s3")["Credentials"]
    objects(client("s3", role))


def multipart():
    """The transfer manager's uploads and downloads in parts, and one that is given up."""
    s3 = client("s3", session())
    s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    data = os.urandom(12 * MIB + 17)
    parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3.upload_fileobj(io.BytesIO(data), "data", "large", Config=parts)
    assert s3.head_object(Bucket="data", Key="large")["ETag"].endswith('-3"')
    back = io.BytesIO()
    s3.download_fileobj("data", "large", back, Config=parts)
    assert back.getvalue() == data
    begun = s3.create_multipart_upload(Bucket="data", Key="left")
    one = {"Bucket": "data", "Key": "left", "UploadId": begun["UploadId"]}
    s3.upload_part(PartNumber=1, Body=b"x", **one)
    assert len(s3.list_parts(**one)["Parts"]) == 1
    assert len(s3.list_multipart_uploads(Bucket="data")["Uploads"]) == 1
    s3.abort_multipart_upload(**one)
    refused("NoSuchUpload", 404, s3.upload_part, PartNumber=1, Body=b"x", **one)


def presigned():
    """URLs, with the key and with a session; they end, and die with their key."""
    for credentials in (None, session()):
        s3 = client("s3", credentials)
        s3.create_bucket(Bucket="urls", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        what = {"Bucket": "urls", "Key": "a b/ü"}
        url = s3.generate_presigned_url("put_object", what)
        assert fetch(url, "PUT", b"by url")[0] == 200
        url = s3.generate_presigned_url("get_object", what, ExpiresIn=60)
        assert fetch(url) == (200, b"by url")
        status, body = fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))
        assert status == 403 and b"<Code>SignatureDoesNotMatch" in body, body
        control(op="clock-offset", milliseconds=61_000)
        status, body = fetch(url)
        control(op="clock-offset", milliseconds=0)
        assert status == 403 and b"Request has expired" in body, body
        s3.delete_object(**what)
        s3.delete_bucket(Bucket="urls")
    s3.create_bucket(Bucket="urls", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    url = client("s3").generate_presigned_url("list_objects_v2", {"Bucket": "urls"})
    assert fetch(url)[0] == 200
    control(op="set-key-status", access_key_id=KEY_ID, status="Inactive")
    status, body = fetch(url)
    assert status == 403 and b"<Code>InvalidAccessKeyId" in body, body


def put_raw(declared, body, sent=None):
    """Signs a put of `body` with its hash declared so, and sends `sent` in its place."""
    headers = {"x-amz-content-sha256": declared}
    if declared.endswith("TRAILER"):
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    request = AWSRequest("PUT", ENDPOINT + "/raw/x", data=body, headers=headers)
    # What botocore would sign over TLS, where it does not hash the body.
    request.context["payload_signing_enabled"] = False
    auth = S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "us-east-1")
    auth.payload = lambda _: declared
    auth.add_auth(request)
    headers = {**request.headers, "x-amz-content-sha256": declared}
    body = body if sent is None else sent(dict(request.headers))
    order = urllib.request.Request(request.url, data=body, method="PUT", headers=headers)
    try:
        with urllib.request.urlopen(order) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def signed_chunks(chunks, spoil=None):
    """Makes a body of signed chunks that goes on from a head; from scratch, as the S3 API reference has it."""
    def make(headers):
        time = headers["X-Amz-Date"]
        scope = f"{time[:8]}/us-east-1/s3/aws4_request"
        key = ("AWS4" + SECRET).encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        last, body = headers["Authorization"].rpartition("Signature=")[2], b""
        for chunk in [*chunks, b""]:
            hashes = [hashlib.sha256(text).hexdigest() for text in (b"", chunk)]
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", time, scope, last, *hashes])
            last = hmac.digest(key, text.encode(), "sha256").hex()
            if chunk == spoil:
                chunk = chunk[:-1] + b"!"
            body += f"{len(chunk):x};chunk-signature={last}\r\n".encode() + chunk + b"\r\n"
        return body
    return make


def bodies():
    """Whole, unsigned, and in chunks with and without signatures; and what was changed on the way is refused."""
    s3 = client("s3")
    s3.create_bucket(Bucket="raw", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def stored():
        return s3.get_object(Bucket="raw", Key="x", ChecksumMode="ENABLED")

    digest = hashlib.sha256(b"whole").hexdigest()
    assert put_raw(digest, b"whole")[0] == 200
    status, told = put_raw(digest, b"whole", lambda _: b"other")
    assert status == 400 and b"XAmzContentSHA256Mismatch" in told, told
    assert stored()["Body"].read() == b"whole"
    assert put_raw("UNSIGNED-PAYLOAD", b"unsigned")[0] == 200

    trailed = b"3\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:hYfVoA==\r\n\r\n"
    checksum = base64.b64encode(zlib.crc32(b"abcde").to_bytes(4, "big"))
    trailed = trailed.replace(b"hYfVoA==", checksum)
    assert put_raw("STREAMING-UNSIGNED-PAYLOAD-TRAILER", trailed)[0] == 200
    back = stored()
    assert (back["Body"].read(), back["ChecksumCRC32"]) == (b"abcde", checksum.decode())
    status, told = put_raw("STREAMING-UNSIGNED-PAYLOAD-TRAILER", trailed[:8])
    assert status == 400 and b"IncompleteBody" in told, told

    signed = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    chunks = [b"a" * 8192, b"b" * 100]
    assert put_raw(signed, b"", signed_chunks(chunks))[0] == 200
    assert stored()["Body"].read() == b"".join(chunks)
    status, told = put_raw(signed, b"", signed_chunks(chunks, spoil=chunks[1]))
    assert status == 403 and b"SignatureDoesNotMatch" in told, told
    assert stored()["Body"].read() == b"".join(chunks), "what is refused is not kept"


def slow():
    """An upload that began before its key was deactivated ends well; the next one is refused."""
    s3 = client("s3")
    s3.create_bucket(Bucket="slow", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    url = s3.generate_presigned_url("put_object", {"Bucket": "slow", "Key": "x"})
    token = session()
    address = urllib.parse.urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        head = (f"PUT {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\n"
                "Content-Length: 10\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        connection.sendall(head.encode())
        answer = connection.makefile("rb")
        # The server asks for the body once the head is found good.
        assert b" 100 " in answer.readline()
        connection.sendall(b"01234")
        control(op="set-key-status", access_key_id=KEY_ID, status="Inactive")
        connection.sendall(b"56789")
        answer.readline()
        assert b" 200 " in answer.readline()
    assert client("s3", token).get_object(Bucket="slow", Key="x")["Body"].read() == b"0123456789"
    assert fetch(url, "PUT", b"again")[0] == 403


def faults():
    """What is scripted happens to objects too, in their protocols' words."""
    s3, db = client("s3"), client("dynamodb")
    control(op="fault", action="ListBuckets", kind="throttled")
    refused("SlowDown", 503, s3.list_buckets)
    control(op="fault", action="ListTables", kind="throttled")
    refused("ThrottlingException", 400, db.list_tables)
    control(op="deny", user="app", actions=["s3:ListBuckets", "dynamodb:ListTables"])
    refused("AccessDenied", 403, s3.list_buckets)
    refused("AccessDeniedException", 400, db.list_tables)
    control(op="deny", user="app", actions=[])
    control(op="behaviour", set={"visible_after_at": {"s3": 3_600_000}})
    refused("InvalidAccessKeyId", 403, s3.list_buckets)
    db.list_tables()


def dynamodb():
    """A table, an item in it and back."""
    for number, credentials in enumerate((None, session())):
        table = f"t{number}"
        db = client("dynamodb", credentials)
        db.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        assert table in db.list_tables()["TableNames"]
        assert db.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE"
        item = {"id": {"S": "ü"}, "n": {"N": "1"}}
        db.put_item(TableName=table, Item=item)
        assert db.get_item(TableName=table, Key={"id": {"S": "ü"}})["Item"] == item
        assert "Item" not in db.get_item(TableName=table, Key={"id": {"S": "other"}})
        refused("ResourceNotFoundException", 400, db.get_item, TableName="none", Key={"id": {"S": "x"}})
        refused("ResourceInUseException", 400, db.create_table, TableName=table,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST")


def everywhere(credentials, codes):
    """One call at each service, each refused in the service's own words."""
    sts, s3, db = codes
    refused(sts, 403, client("sts", credentials).get_caller_identity)
    status = 400 if s3 in ("ExpiredToken", "InvalidToken") else 403
    refused(s3, status, client("s3", credentials).list_buckets)
    refused(db, 400, client("dynamodb", credentials).list_tables)


def refusals():
    """Wrong secrets, tokens and times, in the words of three protocols."""
    token = session(DurationSeconds=900)
    client("sts", token).get_caller_identity()
    forged = ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException")
    unknown = ("InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException")
    bad_token = ("InvalidClientTokenId", "InvalidToken", "UnrecognizedClientException")
    everywhere({**token, "SecretAccessKey": "wrong"}, forged)
    everywhere({"AccessKeyId": "AKIANOBODY", "SecretAccessKey": "x"}, unknown)
    everywhere({**token, "SessionToken": "x" * 300}, bad_token)
    everywhere({"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET, **{"SessionToken": "x"}}, bad_token)
    everywhere({**token, "SessionToken": None}, unknown)

    control(op="clock-offset", milliseconds=901_000)
    try:
        skewed = client("s3", {"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET})
        refused("RequestTimeTooSkewed", 403, skewed.list_buckets)
    finally:
        control(op="clock-offset", milliseconds=0)
    control(op="behaviour", set={"session_seconds_min": 1})
    # The client knows AWS's floor too.
    unchecked = client("sts", config=CONFIG.merge(Config(parameter_validation=False)))
    short = unchecked.get_session_token(DurationSeconds=1)["Credentials"]
    control(op="clock-offset", milliseconds=2_000)
    everywhere(short, ("ExpiredToken", "ExpiredToken", "ExpiredTokenException"))
    control(op="clock-offset", milliseconds=0)

    control(op="set-key-status", access_key_id=KEY_ID, status="Inactive")
    everywhere(None, unknown)
    client("s3", token).list_buckets()
    url = client("sts", token).generate_presigned_url("get_caller_identity", HttpMethod="GET")
    status, body = fetch(url)
    assert status == 200 and b"user/app" in body, body
    control(op="behaviour", set={"sessions_die_with_key": True})
    everywhere(token, unknown)
    signers = {event.get("minted_from") for event in control(op="log")["events"]}
    assert KEY_ID in signers, signers


def command_line():
    """The AWS CLI: a session, objects, and a URL."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "AWS_ENDPOINT_URL": ENDPOINT,
                       "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true",
                       "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}

        def aws(*arguments):
            run = subprocess.run([os.environ["AWS"], *arguments], env=environment, cwd=folder,
                                 capture_output=True, text=True, timeout=60)
            assert run.returncode == 0, f"{arguments}: {run.stderr}"
            return run.stdout

        made = json.loads(aws("sts", "get-session-token"))["Credentials"]
        environment |= {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SESSION_TOKEN": made["SessionToken"],
                        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
        assert "user/app" in aws("sts", "get-caller-identity")
        aws("s3", "mb", "s3://cli")
        data = os.urandom(9 * MIB)
        with open(f"{folder}/file", "wb") as file:
            file.write(data)
        aws("s3", "cp", "file", "s3://cli/a/b c")
        assert str(len(data)) in aws("s3", "ls", "s3://cli/a/")
        aws("s3", "sync", "s3://cli/a", "back")
        with open(f"{folder}/back/b c", "rb") as file:
            assert file.read() == data
        aws("s3", "rb", "--force", "s3://cli")
        assert json.loads(aws("dynamodb", "list-tables")) == {"TableNames": []}


def many():
    """Hundreds of requests on one connection."""
    s3 = client("s3", session())
    s3.create_bucket(Bucket="many", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for number in range(300):
        s3.put_object(Bucket="many", Key=f"{number}", Body=b"x" * 1000)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
