// The AWS SDK for JavaScript v3 through the proxy: all from the environment, as `rotakey exec --source proxy` sets it.

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { DynamoDBClient, ListTablesCommand } from "@aws-sdk/client-dynamodb";
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const s3 = new S3Client({ maxAttempts: 1 });
const Bucket = "javascript";
const back = async (Key) => (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body.transformToString();
const put = (Key, Body, more) => s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));

const identity = await new STSClient({ maxAttempts: 1 }).send(new GetCallerIdentityCommand({}));
assert.match(identity.Arn, /user\/app$/);
await s3.send(new CreateBucketCommand({ Bucket }));
for (const key of ["a/../b//c/./d", "a b+c%2F", "ü!*'()"]) {
  await put(key, key);
  assert.equal(await back(key), key);
}
const large = "x".repeat(3 << 20);
await put("large", large);
assert.equal(await back("large"), large);
// In chunks with a trailer behind them.
const pieces = ["a".repeat(70_000), "b".repeat(10), "c".repeat(2 << 20)];
await put("stream", Readable.from(pieces), { ContentLength: pieces.join("").length });
assert.equal(await back("stream"), pieces.join(""));
const listed = await s3.send(new ListObjectsV2Command({ Bucket }));
assert.equal(listed.KeyCount, 5);
const tables = await new DynamoDBClient({ maxAttempts: 1 }).send(new ListTablesCommand({}));
assert.deepEqual(tables.TableNames, []);
