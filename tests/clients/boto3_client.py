"""boto3 as programs use it: one session and one client of each service, kept for long, and the standard chain.

Each line of input is `CALL`, one of those of CALLS, and makes one signed request; `new` begins a new session.
Each request makes one line of output: a JSON object, with the key that signed, as the request said it.
"""

import io
import json
import sys
import time

import boto3
from botocore.config import Config


class Slow(io.BytesIO):
    """A body that comes in pieces, as from a slow disk: some seconds for all of it."""

    def read(self, size=-1):
        time.sleep(0.2)
        return super().read(16384 if size is None or size < 0 else min(size, 16384))


def multipart(s3):
    """An upload in parts, as long as a rotation takes; each part is a request of its own."""
    where = {"Bucket": "bucket", "Key": "long"}
    upload, parts = s3.create_multipart_upload(**where)["UploadId"], []
    for number in range(1, 13):
        time.sleep(1)
        size = 5 * 1024 * 1024 if number < 12 else 1024
        part = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=b"x" * size)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})


CALLS = {
    "multipart": ("s3", multipart),
    "slow": ("s3", lambda s3: s3.put_object(Bucket="bucket", Key="slow", Body=Slow(b"x" * 131072))),
    "sts": ("sts", lambda sts: sts.get_caller_identity()),
    "s3put": ("s3", lambda s3: s3.put_object(Bucket="bucket", Key="boto3", Body=b"x" * 1024)),
    "s3get": ("s3", lambda s3: s3.get_object(Bucket="bucket", Key="boto3")["Body"].read()),
    "s3bucket": ("s3", lambda s3: s3.create_bucket(Bucket="bucket")),
    "s3note": ("s3", lambda s3: s3.put_object(Bucket="bucket", Key="note.csv", Body=b"a,b\n1,2\n")),
    "table": ("dynamodb", lambda db: db.create_table(
        TableName="table", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])),
    "dynamodb": ("dynamodb", lambda db: db.get_item(TableName="table", Key={"id": {"S": "boto3"}})),
}


class Programme:
    def __init__(self):
        self.session = boto3.Session()
        self.clients = {}
        self.signer = self.token = None

    def client(self, service):
        if service not in self.clients:
            # One attempt: a refusal that a retry hides is a refusal all the same.
            config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
            client = self.session.client(service, config=config)
            client.meta.events.register(f"before-send.{service}", self.note)
            self.clients[service] = client
        return self.clients[service]

    def note(self, request, **_):
        text = lambda value: value.decode() if isinstance(value, bytes) else value
        self.signer = text(request.headers["Authorization"]).split("Credential=")[1].split("/")[0]
        self.token = "X-Amz-Security-Token" in request.headers

    def call(self, name):
        self.signer = self.token = None
        service, act = CALLS[name]
        try:
            act(self.client(service))
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:300]
        return None


def main():
    programme, n = None, 0
    for line in sys.stdin:
        if line.strip() == "new":
            programme = None
            continue
        programme, n = programme or Programme(), n + 1
        error = programme.call(line.strip())
        print(json.dumps({
            "client": f"boto3 {boto3.__version__}", "n": n, "ok": error is None, "access_key_id": programme.signer,
            "token": programme.token, "error": error, "t": time.time()}), flush=True)


main()
