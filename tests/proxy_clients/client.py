"""A client of the matrix, written in Python or run from it: boto3, minio, obstore, pyarrow, and the tools of tools.py.

    client.py CLIENT ACT...     in a folder with `small` and `large` to send; what it got stays there, for the test to judge

All that it knows of AWS is in the environment, as `rotakey env` says it: over http the endpoint, over https the proxy
and its CA. NAME is the name of its bucket and its queue. A line of JSON for each act: {"act", "error"}.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

NAME, ENDPOINT = os.environ["NAME"], os.environ.get("AWS_ENDPOINT_URL")
REGION, KEY, SECRET = (os.environ[name] for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
PROXY, CA = os.environ.get("HTTPS_PROXY"), os.environ.get("AWS_CA_BUNDLE")
FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:function"
PART = 5 << 20


class Client:
    """What every client does in the same way, once it can put, get and list."""

    def put(self):
        self.put_key(NAME, "put", Path("small"))

    def get(self):
        self.get_key(NAME, "get", Path("get"))

    def list(self):
        Path("list").write_text(json.dumps(self.list_keys(NAME, "list/")))

    def dots(self):
        self.keys("dots")

    def odd(self):
        self.keys("odd")

    def keys(self, group):
        bucket = f"{NAME}-{group}"
        for n, key in enumerate(json.loads(Path(f"{group}.json").read_text())):
            Path(f"{group}-{n}").write_text(key)
            self.put_key(bucket, key, Path(f"{group}-{n}"))
            self.get_key(bucket, key, Path(f"{group}-{n}-back"))
        Path(group).write_text(json.dumps(self.list_keys(bucket, "")))


def pipe():
    """The large file, from something that has no length and cannot be sought in."""
    return subprocess.Popen(["cat", "large"], stdout=subprocess.PIPE).stdout


class Boto3(Client):
    def __init__(self):
        import boto3
        from boto3.s3.transfer import TransferConfig
        from botocore.config import Config

        self.once = Config(retries={"total_max_attempts": 1})
        self.parts = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
        self.client = lambda service, **more: boto3.client(service, **({"config": self.once} | more))
        self.v4 = Config(signature_version="s3v4")
        self.s3 = self.client("s3")

    def put_key(self, bucket, key, path):
        self.s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def get_key(self, bucket, key, path):
        path.write_bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def list_keys(self, bucket, prefix):
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]

    def multipart(self):
        self.s3.upload_file("large", NAME, "multipart", Config=self.parts)

    def stream(self):
        self.s3.upload_fileobj(pipe(), NAME, "stream", Config=self.parts)

    def url(self):
        what = {"Bucket": NAME, "Key": "get"}
        Path("url").write_text(self.client("s3", config=self.v4).generate_presigned_url("get_object", what))

    def url2(self):
        Path("url2").write_text(self.s3.generate_presigned_url("get_object", {"Bucket": NAME, "Key": "get"}))

    def dynamodb(self):
        dynamodb = self.client("dynamodb")
        dynamodb.put_item(TableName="table", Item={"id": {"S": NAME}, "value": {"S": "ü"}})
        item = dynamodb.get_item(TableName="table", Key={"id": {"S": NAME}})["Item"]
        Path("dynamodb").write_text(item["value"]["S"])

    def sqs(self):
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=NAME)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="ü")
        Path("sqs").write_text(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"])

    def sts(self):
        Path("sts").write_text(self.client("sts").get_caller_identity()["Arn"])

    def path(self):
        Path("path").write_text(self.client("lambda").get_function_configuration(FunctionName=FUNCTION)["FunctionName"])

    def kinesis(self):
        found = self.client("kinesis").describe_stream_summary(StreamName="stream")
        Path("kinesis").write_text(found["StreamDescriptionSummary"]["StreamName"])

    @staticmethod
    def version():
        import boto3
        return boto3.__version__


class Minio(Client):
    def __init__(self):
        import minio
        import urllib3

        # A program gives it the proxy: it does not read the environment.
        pool = None if ENDPOINT else urllib3.ProxyManager(PROXY, ca_certs=CA)
        host = ENDPOINT.removeprefix("http://") if ENDPOINT else "s3.amazonaws.com"
        self.s3 = minio.Minio(host, access_key=KEY, secret_key=SECRET, region=REGION, secure=not ENDPOINT, http_client=pool)

    def put_key(self, bucket, key, path):
        with path.open("rb") as data:
            self.s3.put_object(bucket, key, data, path.stat().st_size)

    def get_key(self, bucket, key, path):
        path.write_bytes(self.s3.get_object(bucket, key).read())

    def list_keys(self, bucket, prefix):
        return [found.object_name for found in self.s3.list_objects(bucket, prefix, recursive=True)]

    def multipart(self):
        self.s3.fput_object(NAME, "multipart", "large", part_size=PART)

    def stream(self):
        self.s3.put_object(NAME, "stream", pipe(), -1, part_size=PART)

    def url(self):
        Path("url").write_text(self.s3.presigned_get_object(NAME, "get"))

    @staticmethod
    def version():
        from importlib.metadata import version
        return version("minio")


class Obstore(Client):
    """The Rust crate object_store."""

    def __init__(self):
        import obstore
        from obstore.store import S3Store

        self.lib, self.store = obstore, lambda bucket: S3Store(bucket, client_options={"allow_http": bool(ENDPOINT)})

    def put_key(self, bucket, key, path):
        self.lib.put(self.store(bucket), key, path, use_multipart=False)

    def get_key(self, bucket, key, path):
        path.write_bytes(self.lib.get(self.store(bucket), key).bytes())

    def list_keys(self, bucket, prefix):
        return [found["path"] for found in self.lib.list(self.store(bucket), prefix or None).collect()]

    def multipart(self):
        self.lib.put(self.store(NAME), "multipart", Path("large"), use_multipart=True, chunk_size=PART)

    def stream(self):
        pieces = iter(lambda source=pipe(): source.read(100_000), b"")
        self.lib.put(self.store(NAME), "stream", pieces, chunk_size=PART)

    def url(self):
        from datetime import timedelta
        Path("url").write_text(self.lib.sign(self.store(NAME), "GET", "get", timedelta(minutes=5)))

    @staticmethod
    def version():
        from importlib.metadata import version
        return version("obstore")


class Pyarrow(Client):
    """The AWS SDK for C++."""

    def __init__(self):
        from pyarrow import fs

        # A program gives it the endpoint, or the proxy and the CA: it does not read the environment.
        more = {"endpoint_override": ENDPOINT.removeprefix("http://"), "scheme": "http"} if ENDPOINT else {
            "proxy_options": PROXY, "tls_ca_file_path": CA}
        self.fs, self.s3 = fs, fs.S3FileSystem(access_key=KEY, secret_key=SECRET, region=REGION, **more)

    def put_key(self, bucket, key, path):
        with self.s3.open_output_stream(f"{bucket}/{key}") as out:
            out.write(path.read_bytes())

    def get_key(self, bucket, key, path):
        path.write_bytes(self.s3.open_input_stream(f"{bucket}/{key}").readall())

    def list_keys(self, bucket, prefix):
        found = self.s3.get_file_info(self.fs.FileSelector(f"{bucket}/{prefix}".rstrip("/"), recursive=True))
        return [file.path.removeprefix(f"{bucket}/") for file in found if file.is_file]

    def multipart(self):
        with self.s3.open_output_stream(f"{NAME}/multipart") as out:
            out.write(Path("large").read_bytes())

    def stream(self):
        source = pipe()
        with self.s3.open_output_stream(f"{NAME}/stream") as out:
            while piece := source.read(100_000):
                out.write(piece)

    @staticmethod
    def version():
        import pyarrow
        return pyarrow.__version__


def main():
    import tools

    kinds = {"boto3": Boto3, "minio": Minio, "obstore": Obstore, "pyarrow": Pyarrow} | tools.KINDS
    kind, acts = kinds[sys.argv[1]], sys.argv[2:]
    if acts == ["version"]:
        print(kind.version())
        return
    made = kind()
    for act in acts:
        error = None
        try:
            getattr(made, act)()
        except BaseException as caught:  # pyo3's panics, too
            error = f"{type(caught).__name__}: {caught}"[-600:]
        print(json.dumps({"act": act, "error": error}), flush=True)


if __name__ == "__main__":
    sys.modules["client"] = sys.modules["__main__"]
    main()
