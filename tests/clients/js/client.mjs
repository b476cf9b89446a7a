// The AWS SDK for JavaScript v3 as programs use it: one client of each service, kept for long, and the standard
// chain. Input and output as boto3_client.py says.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const own = new URL("./node_modules/@aws-sdk/client-sts/package.json", import.meta.url);
const version = JSON.parse(readFileSync(own)).version;

const CALLS = {
  sts: [STSClient, new GetCallerIdentityCommand({})],
  s3put: [S3Client, new PutObjectCommand({ Bucket: "bucket", Key: "js", Body: "x".repeat(1024) })],
  s3get: [S3Client, new GetObjectCommand({ Bucket: "bucket", Key: "js" })],
  dynamodb: [DynamoDBClient, new GetItemCommand({ TableName: "table", Key: { id: { S: "js" } } })],
};

let clients = new Map();
let sent = {};

function client(kind) {
  if (!clients.has(kind)) {
    // One attempt: a refusal that a retry hides is a refusal all the same.
    const made = new kind({ maxAttempts: 1, forcePathStyle: true });
    const note = (next) => async (args) => {
      const headers = args.request.headers;
      sent = {
        access_key_id: headers.authorization?.split("Credential=")[1].split("/")[0] ?? null,
        token: "x-amz-security-token" in headers,
      };
      return next(args);
    };
    made.middlewareStack.add(note, { step: "deserialize", name: "note" });
    clients.set(kind, made);
  }
  return clients.get(kind);
}

let n = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === "new") {
    clients = new Map();
    continue;
  }
  const [kind, command] = CALLS[line.trim()];
  sent = { access_key_id: null, token: null };
  let error = null;
  try {
    const answer = await client(kind).send(command);
    await answer.Body?.transformToString();
  } catch (caught) {
    error = `${caught.name}: ${caught.message}`.slice(0, 300);
  }
  n += 1;
  console.log(
    JSON.stringify({ client: `js ${version}`, n, ok: error === null, ...sent, error, t: Date.now() / 1000 }),
  );
}
