"""Real clients through the proxy, to the embedded simulator, which checks signatures: boto3 and the AWS CLI.

    clients.py SCENARIO      as `rotakey exec app --source proxy` runs it; with AWS, the CLI's path, in the environment

The scenarios of tests/simulator/clients.py are gone through with a placeholder in the place of the key.
"""

import datetime
import hashlib
import json
import os
import subprocess
import sys
import urllib.request

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
KEY_ID, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
os.environ |= {"ENDPOINT": ENDPOINT, "KEY_ID": KEY_ID, "SECRET": SECRET}
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "simulator"))

import boto3  # noqa: E402
import clients as direct  # noqa: E402
from botocore.auth import SigV4Auth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402

# Where the simulator's scenarios take a session, a placeholder does.
direct.session = lambda **_: {"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET}
ONCE = Config(retries={"total_max_attempts": 1})


def objects():
    direct.objects(direct.client("s3"))
    # As a program has it: all from the environment.
    s3 = boto3.client("s3", config=ONCE)
    s3.create_bucket(Bucket="odd")
    for key in ["a/../b//c/./d", "a b", "a+b", "a%2Fb", "%25", "ü/é", "~-._!*'()", "x=y&z?", "//", "."]:
        s3.put_object(Bucket="odd", Key=key, Body=key.encode(), Metadata={"two": "a  b"})
        assert s3.get_object(Bucket="odd", Key=key)["Body"].read() == key.encode(), key
    assert len(s3.list_objects_v2(Bucket="odd")["Contents"]) == 10
    s3.put_object(Bucket="odd", Key="empty", Body=b"")
    assert s3.get_object(Bucket="odd", Key="empty")["Body"].read() == b""


def large():
    direct.multipart()
    s3 = boto3.client("s3", config=ONCE)
    s3.create_bucket(Bucket="large")
    data = os.urandom(9 << 20)
    s3.put_object(Bucket="large", Key="x", Body=data, ChecksumAlgorithm="SHA256")
    assert s3.get_object(Bucket="large", Key="x")["Body"].read() == data


def bodies():
    direct.bodies()


def others():
    direct.dynamodb()
    direct.many()
    assert boto3.client("sts", config=ONCE).get_caller_identity()["Arn"].endswith("user/app")
    # Global services: SDKs sign for their own region.
    users = boto3.client("iam", region_name="eu-west-1", config=ONCE).list_access_keys(UserName="app")
    assert len(users["AccessKeyMetadata"]) == 1, users


def presigned():
    s3 = direct.client("s3")
    s3.create_bucket(Bucket="urls", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    what = {"Bucket": "urls", "Key": "a b/ü"}
    assert direct.fetch(s3.generate_presigned_url("put_object", what), "PUT", b"by url")[0] == 200
    url = s3.generate_presigned_url("get_object", what, ExpiresIn=60)
    assert direct.fetch(url) == (200, b"by url")
    status, body = direct.fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))
    assert status == 403 and b"SignatureDoesNotMatch" in body, body


def credentials():
    """Nothing that would hand out a real key goes through."""
    sts, iam = boto3.client("sts", config=ONCE), boto3.client("iam", config=ONCE)
    direct.refused("AccessDenied", 403, sts.get_session_token)
    direct.refused("AccessDenied", 403, sts.get_federation_token, Name="program")
    role = "arn:aws:iam::123456789012:role/r"
    direct.refused("AccessDenied", 403, sts.assume_role, RoleArn=role, RoleSessionName="program")
    direct.refused("AccessDenied", 403, iam.create_access_key, UserName="app")


def raw(path="/", method="GET", headers=None, service="s3", body=b"", key=None, change=None, date=None):
    """A signed request, and what is changed after it was signed."""
    request = AWSRequest(method, ENDPOINT + path, data=body, headers=headers or {})
    request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    auth = SigV4Auth(Credentials(*(key or (KEY_ID, SECRET))), service, "us-east-1")
    if date:
        class Then(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return date
        import botocore.auth
        before = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda *_, **__: date
    auth.add_auth(request)
    if date:
        botocore.auth.get_current_datetime = before
    sent = dict(request.headers) | (change or {})
    order = urllib.request.Request(request.url, data=body or None, method=method, headers=sent)
    try:
        with urllib.request.urlopen(order) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def strangers():
    """Who is not let through, and what is not."""
    assert raw()[0] == 200, raw()
    nobody = raw(key=("ROTAKEYAAAAAAAAAAAAA", SECRET))
    assert nobody[0] == 403 and "InvalidAccessKeyId" in nobody[1], nobody
    real = raw(key=(os.environ["REAL_ID"], os.environ["REAL_SECRET"]))
    assert real[0] == 403 and "InvalidAccessKeyId" in real[1], real
    wrong = raw(key=(KEY_ID, "x" * 40))
    assert wrong[0] == 403 and "SignatureDoesNotMatch" in wrong[1], wrong
    for change in [{"x-amz-acl": "public-read"}, {"x-amz-security-token": "x"}, {"Host": "evil.example"},
                   {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]:
        answer = raw(change=change)
        assert 400 <= answer[0] < 500, (change, answer)
    with_host = raw(headers={"Host": "169.254.169.254"})
    assert with_host[0] == 403 and "Host" in with_host[1], with_host
    for minutes in (-6, 6):
        then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
        old = raw(date=then)
        assert old[0] == 403 and "RequestTimeTooSkewed" in old[1], old
    try:
        unsigned = urllib.request.urlopen(ENDPOINT + "/")
        raise AssertionError(unsigned.status)
    except urllib.error.HTTPError as error:
        told = error.read().decode()
        assert error.code == 403 and "not signed" in told, told


def command_line():
    def aws(*arguments):
        run = subprocess.run([os.environ["AWS"], *arguments], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, f"{arguments}: {run.stderr}"
        return run.stdout

    assert "user/app" in aws("sts", "get-caller-identity")
    aws("s3", "mb", "s3://cli")
    data = os.urandom(9 << 20)
    with open(f"{os.environ['HOME']}/file", "wb") as file:
        file.write(data)
    aws("s3", "cp", f"{os.environ['HOME']}/file", "s3://cli/a/b c")
    assert str(len(data)) in aws("s3", "ls", "s3://cli/a/")
    aws("s3", "cp", "s3://cli/a/b c", f"{os.environ['HOME']}/back")
    with open(f"{os.environ['HOME']}/back", "rb") as file:
        assert file.read() == data
    assert json.loads(aws("dynamodb", "list-tables")) == {"TableNames": []}


def curl():
    """`--aws-sigv4` signs what it is told to."""
    def run(*arguments):
        done = subprocess.run(
            ["curl", "-sS", "--fail-with-body", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{KEY_ID}:{SECRET}",
             "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", *arguments],
            capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-X", "PUT", f"{ENDPOINT}/curl")
    run("-X", "PUT", "--data-binary", "by curl", f"{ENDPOINT}/curl/x")
    assert run(f"{ENDPOINT}/curl/x") == "by curl"
    assert "<Key>x</Key>" in run(f"{ENDPOINT}/curl?list-type=2")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
