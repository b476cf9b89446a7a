// Calls S3, DynamoDB and STS by the SDK for JavaScript v3, at a constant rate and without retries, until the file OVER is
// there.
//
//     load.mjs OVER BEGUN      writes BEGUN after the first round; at the end prints what was made, and what failed

import { existsSync, writeFileSync } from "node:fs";
import { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { DynamoDBClient, ListTablesCommand } from "@aws-sdk/client-dynamodb";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const [over, begun] = process.argv.slice(2);
const every = 700;
const clients = [S3Client, DynamoDBClient, STSClient].map((Client) => new Client({ maxAttempts: 1 }));
const [s3, db, sts] = clients;
const Bucket = "javascript-load";
const made = {};
const failures = [];

const check = async (what, act, right = () => true) => {
  made[what] = (made[what] ?? 0) + 1;
  try {
    if (!right(await act())) failures.push(`${what}: another answer`);
  } catch (error) {
    failures.push(`${what}: ${error.name}: ${error.message}`);
  }
};
const get = async (Key) => (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body.transformToString();
const put = async (Key, text, Body, more) => {
  await check(`put ${Key}`, () => s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more })));
  await check(`get ${Key}`, () => get(Key), (got) => got === text);
};

await s3.send(new CreateBucketCommand({ Bucket }));
const start = Date.now();
for (let round = 1; !existsSync(over); round++) {
  const [small, large] = [`${round} `.repeat(100), `${round} `.repeat(1 << 20)];
  await put("small", small, small);
  await put("large", large, large);
  await put("stream", large, Readable.from([large.slice(0, 70_000), large.slice(70_000)]), { ContentLength: large.length });
  await check("tables", () => db.send(new ListTablesCommand({})));
  await check("identity", () => sts.send(new GetCallerIdentityCommand({})), (it) => it.Arn.endsWith("user/app"));
  if (round === 1) writeFileSync(begun, "");
  await setTimeout(Math.max(0, start + round * every - Date.now()));
}
console.log(JSON.stringify({ made, failures }));
