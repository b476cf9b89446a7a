"""Calls S3, DynamoDB and STS in turn, without retries, until a file appears; prints how many calls there were."""

import os
import sys
import uuid

import boto3
from botocore.config import Config

ONCE = Config(retries={"total_max_attempts": 1})
s3, db, sts = (boto3.client(name, config=ONCE) for name in ("s3", "dynamodb", "sts"))
bucket = f"load-{uuid.uuid4()}"
s3.create_bucket(Bucket=bucket)
small, large = b"x" * 1000, os.urandom(2 << 20)
calls = 0
while not os.path.exists(sys.argv[1]):
    s3.put_object(Bucket=bucket, Key="small", Body=small)
    s3.put_object(Bucket=bucket, Key="large", Body=large)
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == large
    db.list_tables()
    sts.get_caller_identity()
    calls += 5
print(calls)
