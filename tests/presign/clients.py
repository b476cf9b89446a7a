"""Real clients with a placeholder, through the proxy: sessions of a role, and URLs of signature version 2.

    clients.py SCENARIO      as `rotakey exec app --source proxy` runs it; with AWS, the CLI's path, and UPSTREAM, the server
                             that the proxy stands before, in the environment
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ENDPOINT, UPSTREAM = os.environ["AWS_ENDPOINT_URL"], os.environ["UPSTREAM"]
KEY_ID, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
ROLE = "arn:aws:iam::123456789012:role/worker"
ONCE = Config(retries={"total_max_attempts": 1})
ODD = ["plain", "a b/ü", "a+b", "a%2Fb", "~-._!*'()", "x=y&z?", "a/../b//c"]


def refused(code, call, *arguments, **more):
    try:
        answer = call(*arguments, **more)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return str(error)
    raise AssertionError(f"not refused: {answer}")


def client(service, credentials=None, endpoint=ENDPOINT, config=ONCE):
    id_, secret, token = credentials or (KEY_ID, SECRET, None)
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=id_,
                        aws_secret_access_key=secret, aws_session_token=token, config=config)


def triple(answer):
    return tuple(answer["Credentials"][name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))


def is_local(credentials):
    id_, secret, token = credentials[:3]
    return re.fullmatch("ROTAKEY1[A-Z2-7]{12}", id_) and len(secret) == 40 and len(token) >= 128


def signed(body, service="sts", credentials=(KEY_ID, SECRET), headers=None, change=None):
    """A POST, signed, and the whole answer to it: status, head, body."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | (headers or {})
    request = AWSRequest("POST", ENDPOINT + "/", data=body.encode(), headers=headers)
    SigV4Auth(Credentials(*credentials), service, "us-east-1").add_auth(request)
    sent = dict(request.headers) | (change or {})
    try:
        with urllib.request.urlopen(urllib.request.Request(request.url, body.encode(), sent)) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def role():
    """A profile with role_arn and source_profile, as programs have it: nothing says that there is a proxy."""
    path = os.environ["HOME"] + "/roles"
    with open(path, "w") as file:
        file.write(f"[profile base]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
                   f"[profile role]\nrole_arn = {ROLE}\nsource_profile = base\nregion = us-east-1\n")
    os.environ["AWS_CONFIG_FILE"] = path
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del os.environ[name]
    session = boto3.Session(profile_name="role")
    assert is_local(session.get_credentials().get_frozen_credentials())
    assert "assumed-role/worker" in session.client("sts").get_caller_identity()["Arn"]
    s3 = session.client("s3", config=ONCE)
    s3.create_bucket(Bucket="roles")
    for key in ODD:
        s3.put_object(Bucket="roles", Key=key, Body=key.encode())
        assert s3.get_object(Bucket="roles", Key=key)["Body"].read() == key.encode()
    run = subprocess.run([os.environ["AWS"], "--profile", "role", "s3", "ls", "s3://roles/pl"],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and "plain" in run.stdout, run


def assume():
    """What STS answers is as it was, but for three texts; and what they are good for."""
    command = [os.environ["AWS"], "sts", "assume-role", "--role-arn", ROLE, "--role-session-name", "cli"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    print(run.stdout)
    credentials = triple(json.loads(run.stdout))
    assert is_local(credentials), credentials
    status, head, body = signed(f"Action=AssumeRole&Version=2011-06-15&RoleArn={ROLE}&RoleSessionName=raw")
    print(head, body)
    assert status == 200 and int(head["Content-Length"]) == len(body), (status, head, body)
    assert "assumed-role/worker/raw" in body and body.count("ROTAKEY1") == 1, body
    sts, s3 = client("sts", credentials), client("s3", credentials)
    assert sts.get_caller_identity()["Arn"].endswith("assumed-role/worker/cli")
    s3.create_bucket(Bucket="assumed")
    s3.put_object(Bucket="assumed", Key="x", Body=b"x" * 100_000)
    assert len(s3.get_object(Bucket="assumed", Key="x")["Body"].read()) == 100_000
    v4 = client("s3", credentials, config=ONCE.merge(Config(signature_version="s3v4")))
    url = v4.generate_presigned_url("get_object", {"Bucket": "assumed", "Key": "x"})
    with urllib.request.urlopen(url) as answer:
        assert len(answer.read()) == 100_000
    # To the server itself they are nothing.
    refused("InvalidClientTokenId", client("sts", credentials, UPSTREAM).get_caller_identity)
    # All of it has to be right.
    id_, secret, token = credentials
    refused("InvalidClientTokenId", client("sts", (id_, secret, None)).get_caller_identity)
    refused("InvalidClientTokenId", client("sts", (id_, secret, token[:-1] + "x")).get_caller_identity)
    refused("SignatureDoesNotMatch", client("sts", (id_, SECRET, token)).get_caller_identity)
    refused("InvalidToken", client("s3", (id_, secret, token + "x")).list_buckets)
    whoami = "Action=GetCallerIdentity&Version=2011-06-15"
    unsigned = signed(whoami, credentials=(id_, secret), change={"X-Amz-Security-Token": token})
    assert unsigned[0] == 403 and "not signed" in unsigned[2], unsigned
    # What ended, or was there before the agent began.
    unknown = ("ROTAKEY1AAAAAAAAAAAA", secret, token)
    refused("ExpiredToken", client("sts", unknown).get_caller_identity)
    refused("ExpiredToken", client("s3", unknown).list_buckets)
    refused("ExpiredTokenException", client("dynamodb", unknown).list_tables)
    # The others stay refused, and say what would let them through.
    said = refused("AccessDenied", client("sts").get_session_token)
    assert "virtual_sessions" in said, said
    refused("AccessDenied", client("sts").get_federation_token, Name="program")
    refused("AccessDenied", client("iam").create_access_key, UserName="app")
    print(id_, "\n", json.dumps(credentials), sep="")


def user_session():
    """GetSessionToken, where that is allowed."""
    credentials = triple(client("sts").get_session_token())
    assert is_local(credentials), credentials
    assert client("sts", credentials).get_caller_identity()["Arn"].endswith("user/app")
    said = refused("AccessDenied", client("sts").assume_role, RoleArn=ROLE, RoleSessionName="none")
    assert "virtual_sessions" in said, said


def chain():
    """A role's session takes on another role."""
    first = triple(client("sts").assume_role(RoleArn=ROLE, RoleSessionName="one"))
    other = ROLE.replace("worker", "other")
    second = triple(client("sts", first).assume_role(RoleArn=other, RoleSessionName="two"))
    assert is_local(second) and second != first
    assert client("sts", second).get_caller_identity()["Arn"].endswith("assumed-role/other/two")
    assert client("sts", first).get_caller_identity()["Arn"].endswith("assumed-role/worker/one")


def get():
    """Prints a new session of the role."""
    print(json.dumps(triple(client("sts").assume_role(RoleArn=ROLE, RoleSessionName="kept"))))


def who():
    """Prints the placeholder."""
    print(KEY_ID)


def use():
    """Says how the session in SESSION fares: `ok`, or the code of the refusal."""
    try:
        client("sts", json.loads(os.environ["SESSION"])).get_caller_identity()
        print("ok")
    except ClientError as error:
        print(error.response["Error"]["Code"])


def on():
    """Takes on a role once, and makes a call with that session for each line of standard input, tried once each."""
    here = boto3.Session(aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET, region_name="us-east-1")
    credentials = triple(here.client("sts", config=ONCE).assume_role(RoleArn=ROLE, RoleSessionName="on"))
    sts = client("sts", credentials)
    for _ in sys.stdin:
        try:
            assert sts.get_caller_identity()["Arn"].endswith("assumed-role/worker/on")
            print("ok", flush=True)
        except ClientError as error:
            print(error, flush=True)


def sign():
    """Prints URLs that this program signs with its placeholder."""
    s3 = client("s3", config=ONCE.merge(Config(signature_version="s3v4")))
    what = {"Bucket": "local", "Key": "a b/ü"}
    disposition = what | {"ResponseContentDisposition": "attachment; filename=x"}
    print(json.dumps({
        "put": s3.generate_presigned_url("put_object", what, ExpiresIn=900),
        "get": s3.generate_presigned_url("get_object", disposition, ExpiresIn=900),
        "typed": s3.generate_presigned_url("put_object", what | {"ContentType": "text/plain"}, ExpiresIn=900),
        "old": client("s3").generate_presigned_url("get_object", what, ExpiresIn=900),
    }))


def fetch(url, method="GET", body=None, headers=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}, method=method)) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def version2():
    """boto3's default where an endpoint is set is version 2."""
    s3 = client("s3")
    s3.create_bucket(Bucket="old")
    for key in ODD:
        what = {"Bucket": "old", "Key": key}
        url = s3.generate_presigned_url("put_object", what)
        assert "AWSAccessKeyId=" in url and "X-Amz" not in url, url
        typed = {"Content-Type": ""}
        assert fetch(url, "PUT", key.encode(), typed)[0] == 200, (key, fetch(url, "PUT", key.encode(), typed))
        assert fetch(s3.generate_presigned_url("get_object", what))[2] == key.encode(), key
        assert s3.get_object(**what)["Body"].read() == key.encode(), key
    what = {"Bucket": "old", "Key": "plain"}
    # What is to be sent as a header stands in the query, too.
    more = what | {"ContentType": "text/x-odd", "Metadata": {"a": "b c"}}
    url = s3.generate_presigned_url("put_object", more)
    assert "x-amz-meta-a" in url, url
    answer = fetch(url, "PUT", b"typed", {"Content-Type": "text/x-odd"})
    assert answer[0] == 200, answer
    stored = s3.get_object(**what)
    assert (stored["ContentType"], stored["Metadata"]) == ("text/x-odd", {"a": "b c"}), stored
    disposition = what | {"ResponseContentDisposition": "attachment; filename=x"}
    url = s3.generate_presigned_url("get_object", disposition)
    status, _, body = fetch(url)
    assert (status, body) == (200, b"typed"), (status, body)
    # Any part of it that is not as it was signed.
    for changed in (url.replace("plain", "a%2Bb"), url.replace("filename%3Dx", "filename%3Dy"), url + "&acl",
                    re.sub(r"Expires=(\d+)\d", r"Expires=\g<1>9", url) + "&x-amz-acl=public-read", url + "&prefix=x"):
        answer = fetch(changed)
        assert answer[0] == 403 and b"SignatureDoesNotMatch" in answer[2], (changed, answer)
    assert fetch(url, "PUT", b"x", {"Content-Type": ""})[0] == 403
    answer = fetch(s3.generate_presigned_url("get_object", what, ExpiresIn=-10))
    assert answer[0] == 403 and b"expired" in answer[2], answer
    answer = fetch(re.sub("AWSAccessKeyId=[A-Z0-9]+", "AWSAccessKeyId=ROTAKEYAAAAAAAAAAAAA", url))
    assert answer[0] == 403, answer
    # With the session of a role.
    credentials = triple(client("sts").assume_role(RoleArn=ROLE, RoleSessionName="old"))
    url = client("s3", credentials).generate_presigned_url("get_object", what)
    assert "x-amz-security-token" in url and "AWSAccessKeyId=ROTAKEY1" in url, url
    assert fetch(url)[2] == b"typed"
    assert fetch(url.replace("x-amz-security-token=", "x-amz-security-token=x"))[0] == 403
    s3.delete_object(**what)
    print(fetch(s3.generate_presigned_url("get_object", what))[2].decode())


def no_version2():
    answer = fetch(client("s3").generate_presigned_url("get_object", {"Bucket": "old", "Key": "k"}))
    assert answer[0] == 403 and b"presigned_v2" in answer[2], answer


if __name__ == "__main__":
    globals()[sys.argv[1]]()
