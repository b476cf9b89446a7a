"""Real clients that connect to AWS's own hosts through the proxy, or to the proxy itself over TLS.

    clients.py SCENARIO      as `rotakey exec app --source connect` runs it; with AWS, the CLI's path, in the environment

Behind the proxy is the embedded simulator (or moto), which checks signatures, the signed `Host` among what they cover.
"""

import io
import os
import socket
import ssl
import subprocess
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ONCE = Config(retries={"total_max_attempts": 1}, s3={"us_east_1_regional_endpoint": "regional"})
KEY_ID, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
PROXY = os.environ["HTTPS_PROXY"]


class Unseekable(io.RawIOBase):
    """What boto3 cannot send to a server without TLS."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def seekable(self):
        return False

    def readinto(self, into):
        got = self.data.read(len(into))
        into[:len(got)] = got
        return len(got)


def run(*arguments, fails=False, **environment):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=os.environ | environment)
    told = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, f"{arguments}: {told}"
    return told


def upload(s3, bucket):
    for key in ["a", "a/../b//c/./d", "a b+%", "ü/é"]:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"two": "a  b"})
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
    data = os.urandom(3 << 20)
    # An unsigned trailer, with TLS beneath it: the length is not known before.
    s3.put_object(Bucket=bucket, Key="stream", Body=Unseekable(data), ContentLength=len(data))
    assert s3.get_object(Bucket=bucket, Key="stream")["Body"].read() == data
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 5


def directory_buckets():
    """S3 Express: a session for each bucket, or none."""
    where = {"Bucket": "b--use1-az4--x-s3", "Key": "k"}
    # With an endpoint likewise.
    for endpoint in (None, PROXY):
        os.environ.pop("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", None)
        try:
            boto3.client("s3", config=ONCE, endpoint_url=endpoint).get_object(**where)
            raise AssertionError("not refused")
        except ClientError as error:
            told = str(error)
            assert "CreateSession" in told and "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH=true" in told, told
        os.environ["AWS_S3_DISABLE_EXPRESS_SESSION_AUTH"] = "true"
        s3 = boto3.client("s3", config=ONCE, endpoint_url=endpoint)
        seen = []
        s3.meta.events.register("before-send.s3", lambda request, **_: seen.append(request.url))
        try:
            s3.get_object(**where)
            raise AssertionError("it has no such bucket")
        except ClientError as error:
            # The server's own words.
            assert error.response["Error"]["Code"] == "NoSuchBucket", error
        host = "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com"
        assert endpoint or seen[0].startswith(f"https://{host}/"), seen


def buckets():
    assert "AWS_ENDPOINT_URL" not in os.environ
    s3 = boto3.client("s3", config=ONCE)
    seen = []
    s3.meta.events.register("before-send.s3", lambda request, **_: seen.append(request.url))
    s3.create_bucket(Bucket="virtual")
    upload(s3, "virtual")
    assert all(url.startswith("https://virtual.s3.us-east-1.amazonaws.com/") for url in seen), seen
    arn = boto3.client("sts", config=ONCE).get_caller_identity()["Arn"]
    assert arn.endswith("user/app"), arn
    # It is nobody's business that the host is AWS's: no key goes out that makes another one.
    try:
        boto3.client("sts", config=ONCE).get_session_token()
        raise AssertionError("a session was handed out")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
    version_4 = boto3.client("s3", config=ONCE.merge(Config(signature_version="s3v4")))
    url = version_4.generate_presigned_url("get_object", {"Bucket": "virtual", "Key": "a"})
    assert "virtual.s3" in url, url
    with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])) as answer:
        assert answer.read() == b"a"


def command_line():
    aws = os.environ["AWS"]
    assert "user/app" in run(aws, "sts", "get-caller-identity")
    run(aws, "s3", "mb", "s3://cli-virtual")
    with open(f"{os.environ['HOME']}/file", "wb") as file:
        file.write(os.urandom(9 << 20))
    run(aws, "s3", "cp", f"{os.environ['HOME']}/file", "s3://cli-virtual/a/b c")
    assert str(9 << 20) in run(aws, "s3", "ls", "s3://cli-virtual/a/")
    # An endpoint without TLS, by HTTP_PROXY: the target is a URL.
    plain = run(aws, "s3api", "list-objects-v2", "--bucket", "cli-virtual", "--endpoint-url",
                "http://s3.us-east-1.amazonaws.com", HTTP_PROXY=PROXY, http_proxy=PROXY)
    assert "a/b c" in plain, plain


def signed_by_curl(*arguments, fails=False):
    return run("curl", "-sS", "--fail-with-body", "--max-time", "60", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user",
               f"{KEY_ID}:{SECRET}", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", *arguments, fails=fails)


def curl():
    bucket = "https://by-curl.s3.us-east-1.amazonaws.com"
    signed_by_curl("-X", "PUT", bucket + "/")
    signed_by_curl("-X", "PUT", "--data-binary", "by curl", bucket + "/x")
    assert signed_by_curl(bucket + "/x") == "by curl"
    assert signed_by_curl("-0", bucket + "/x") == "by curl"
    # With the port, which some put into the Host, it is the same one.
    assert signed_by_curl("https://by-curl.s3.us-east-1.amazonaws.com:443/x") == "by curl"


def others():
    """Unsigned requests, and those of sessions from elsewhere, are nobody's of ours."""
    direct = dict(aws_access_key_id=os.environ["REAL_ID"], aws_secret_access_key=os.environ["REAL_SECRET"])
    sts = boto3.client("sts", endpoint_url=os.environ["SIMULATOR"], config=ONCE, **direct)
    session = sts.get_session_token()["Credentials"]
    s3 = boto3.client("s3", config=ONCE, aws_access_key_id=session["AccessKeyId"],
                      aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"])
    s3.create_bucket(Bucket="elsewhere")
    upload(s3, "elsewhere")
    nobody = run("curl", "-sS", "--max-time", "60", "https://elsewhere.s3.us-east-1.amazonaws.com/a")
    # The server's words, not ours.
    assert "AccessDenied" in nobody and "not signed" not in nobody, nobody
    posted = run("curl", "-sS", "--max-time", "60", "-d", "x" * 100_000, "https://sts.amazonaws.com/")
    assert "hint" not in posted and "<Error" in posted, posted
    # A key that the proxy knows nothing of should not be in any program's hands.
    try:
        boto3.client("s3", config=ONCE, **direct).list_buckets()
        raise AssertionError("a real key went through")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidAccessKeyId", error
        assert "no program was given" in str(error), error


def strangers():
    bucket = "https://a.s3.us-east-1.amazonaws.com/x"
    for host in ["sqs.us-east-1.amazonaws.com", "127.0.0.1", "evil.example", "b.s3.us-east-1.amazonaws.com"]:
        told = signed_by_curl("-H", f"Host: {host}", bucket, fails=True)
        assert "connected to" in told, (host, told)
        told = run("curl", "-sS", "-H", f"Host: {host}", "--max-time", "60", bucket)
        assert "connected to" in told, (host, told)
    told = signed_by_curl("-H", "Origin: https://evil.example", bucket, fails=True)
    assert "browsers" in told, told
    for host in ["x.execute-api.us-east-1.amazonaws.com", "x.lambda-url.us-east-1.on.aws", "example.com"]:
        told = signed_by_curl(f"https://{host}/", fails=True)
        assert "403" in told, (host, told)
    # A wrong signature is refused here.
    told = run("curl", "-sS", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{KEY_ID}:{'x' * 40}", "--max-time", "60",
               "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", bucket)
    assert "SignatureDoesNotMatch" in told and "placeholder" in told, told


def own_tls():
    """The proxy's port, with TLS and a certificate for this machine."""
    endpoint = os.environ["AWS_ENDPOINT_URL"].replace("http:", "https:")
    s3 = boto3.client("s3", endpoint_url=endpoint, config=ONCE)
    s3.create_bucket(Bucket="own")
    upload(s3, "own")
    for http in ["--http1.1", "--http2"]:
        version = signed_by_curl(http, "-o", "/dev/null", "-w", "%{http_version}", f"{endpoint}/own")
        assert version in ("1.1", "2"), version
    port = int(endpoint.rsplit(":", 1)[1])
    for offered, taken in [(["h2"], "h2"), (["h2", "http/1.1"], "http/1.1"), ([], None)]:
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        if offered:
            context.set_alpn_protocols(offered)
        for name in ["localhost", "127.0.0.1"]:
            with socket.create_connection(("127.0.0.1", port)) as plain:
                with context.wrap_socket(plain, server_hostname=name) as secure:
                    assert secure.selected_alpn_protocol() == taken, (offered, secure.selected_alpn_protocol())
                    assert secure.version() == "TLSv1.3"
    old = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    try:
        with socket.create_connection(("127.0.0.1", port)) as plain, old.wrap_socket(plain, server_hostname="localhost"):
            raise AssertionError("TLS 1.1")
    except (ssl.SSLError, ConnectionError):
        pass


def both():
    """AWS_ENDPOINT_URL for who reads it, HTTPS_PROXY for who does not."""
    s3 = boto3.client("s3", config=ONCE)
    assert s3.meta.endpoint_url == os.environ["AWS_ENDPOINT_URL"], s3.meta.endpoint_url
    s3.create_bucket(Bucket="by-path")
    s3.put_object(Bucket="by-path", Key="x", Body=b"x")
    assert signed_by_curl("https://by-path.s3.us-east-1.amazonaws.com/x") == "x"


def queues():
    sqs = boto3.client("sqs", config=ONCE)
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    assert "sqs.us-east-1.amazonaws.com" in url, url
    url = url.replace("http:", "https:")
    sqs.send_message(QueueUrl=url, MessageBody="by url")
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "by url"
    s3 = boto3.client("s3", config=ONCE)
    s3.create_bucket(Bucket="virtual")
    s3.put_object(Bucket="virtual", Key="x", Body=b"x")
    assert s3.get_object(Bucket="virtual", Key="x")["Body"].read() == b"x"


if __name__ == "__main__":
    globals()[sys.argv[1]]()
