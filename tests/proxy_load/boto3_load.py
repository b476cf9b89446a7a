"""Calls S3, DynamoDB and STS by boto3, at a constant rate and without retries, until the file OVER is there.

    boto3_load.py OVER BEGUN      writes BEGUN after the first round; at the end prints what was made, and what failed
"""

import io
import json
import os
import sys
import time
import uuid

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

over, begun = sys.argv[1:]
EVERY = 0.7
ONCE = Config(retries={"total_max_attempts": 1})
s3, db, sts = (boto3.client(name, config=ONCE) for name in ("s3", "dynamodb", "sts"))
bucket = f"boto3-{uuid.uuid4()}"
made, failures = {}, []


def count(model, **_):
    made[model.name] = made.get(model.name, 0) + 1


for client in (s3, db, sts):
    client.meta.events.register("before-call", count)


def check(what, act, right=lambda answer: True):
    try:
        answer = act()
        if not right(answer):
            failures.append(f"{what}: another answer")
    except Exception as error:
        failures.append(f"{what}: {type(error).__name__}: {error}")


def put(key, data):
    check(f"put {key}", lambda: s3.put_object(Bucket=bucket, Key=key, Body=data))
    check(f"get {key}", lambda: s3.get_object(Bucket=bucket, Key=key)["Body"].read(), lambda got: got == data)


def parts():
    data = os.urandom(11 << 20)
    transfer = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=2)
    check("upload in parts", lambda: s3.upload_fileobj(io.BytesIO(data), bucket, "parts", Config=transfer))
    check("get of parts", lambda: s3.get_object(Bucket=bucket, Key="parts")["Body"].read(), lambda got: got == data)


s3.create_bucket(Bucket=bucket)
rounds, start = 0, time.monotonic()
while not os.path.exists(over):
    put("small", os.urandom(1000))
    put("large", os.urandom(2 << 20))
    if rounds % 8 == 0:
        parts()
    check("list", lambda: s3.list_objects_v2(Bucket=bucket), lambda answer: answer["KeyCount"] == 3)
    check("tables", db.list_tables)
    check("identity", sts.get_caller_identity, lambda answer: answer["Arn"].endswith("user/app"))
    rounds += 1
    if rounds == 1:
        open(begun, "w").close()
    time.sleep(max(0, start + rounds * EVERY - time.monotonic()))
print(json.dumps({"made": made, "failures": failures}))
