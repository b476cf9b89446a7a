// The AWS SDK for JavaScript v3 as a client of tests/proxy_clients: acts, folder and environment as client.py there says.

import { spawn } from "node:child_process";
import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { DynamoDBClient, GetItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { DescribeStreamSummaryCommand, KinesisClient } from "@aws-sdk/client-kinesis";
import { GetFunctionConfigurationCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetQueueUrlCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { HttpsProxyAgent } from "https-proxy-agent";

const { NAME } = process.env;
const FUNCTION = `arn:aws:lambda:${process.env.AWS_REGION}:123456789012:function:function`;
const once = { maxAttempts: 1 };
// The SDK's own agent does not go by the environment.
if (!process.env.AWS_ENDPOINT_URL) {
  once.requestHandler = { httpsAgent: new HttpsProxyAgent(process.env.HTTPS_PROXY) };
}
const s3 = new S3Client(once);

const put = (Bucket, Key, Body, more) => s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = async (Bucket, Key) => (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body.transformToByteArray();
const list = async (Bucket, Prefix) => {
  const found = await s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
  return JSON.stringify(found.Contents.map(({ Key }) => Key));
};
const keys = async (group) => {
  for (const [n, key] of JSON.parse(readFileSync(`${group}.json`)).entries()) {
    await put(`${NAME}-${group}`, key, key);
    writeFileSync(`${group}-${n}-back`, await get(`${NAME}-${group}`, key));
  }
  return list(`${NAME}-${group}`, "");
};

// What an act gives is written into the file of its name.
const ACTS = {
  put: () => put(NAME, "put", readFileSync("small")),
  get: () => get(NAME, "get"),
  list: () => list(NAME, "list/"),
  multipart: () => {
    const params = { Bucket: NAME, Key: "multipart", Body: createReadStream("large") };
    return new Upload({ client: s3, partSize: 5 << 20, params }).done();
  },
  stream: async () => {
    const { stdout } = spawn("cat", ["large"]);
    await put(NAME, "stream", stdout, { ContentLength: readFileSync("large").length });
  },
  dots: () => keys("dots"),
  odd: () => keys("odd"),
  url: () => getSignedUrl(s3, new GetObjectCommand({ Bucket: NAME, Key: "get" })),
  dynamodb: async () => {
    const dynamodb = new DynamoDBClient(once);
    const Key = { id: { S: NAME } };
    await dynamodb.send(new PutItemCommand({ TableName: "table", Item: { ...Key, value: { S: "ü" } } }));
    return (await dynamodb.send(new GetItemCommand({ TableName: "table", Key }))).Item.value.S;
  },
  sqs: async () => {
    // Else it goes where the queue's URL leads, and not to the endpoint.
    const sqs = new SQSClient({ ...once, useQueueUrlAsEndpoint: false });
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: NAME }));
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "ü" }));
    return (await sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages[0].Body;
  },
  sts: async () => (await new STSClient(once).send(new GetCallerIdentityCommand({}))).Arn,
  path: async () => {
    const order = new GetFunctionConfigurationCommand({ FunctionName: FUNCTION });
    return (await new LambdaClient(once).send(order)).FunctionName;
  },
  kinesis: async () => {
    // Over HTTP/2, as this SDK does it for Kinesis.
    const kinesis = new KinesisClient(once);
    const found = await kinesis.send(new DescribeStreamSummaryCommand({ StreamName: "stream" }));
    kinesis.destroy();
    return found.StreamDescriptionSummary.StreamName;
  },
};

const [, , ...acts] = process.argv;
if (acts[0] === "version") {
  const own = new URL("./node_modules/@aws-sdk/client-s3/package.json", import.meta.url);
  console.log(JSON.parse(readFileSync(own)).version);
} else {
  for (const act of acts) {
    let error = null;
    try {
      const said = await ACTS[act]();
      if (typeof said === "string" || said instanceof Uint8Array) writeFileSync(act, said);
    } catch (caught) {
      error = `${caught.name}: ${caught.message}`.slice(-600);
    }
    console.log(JSON.stringify({ act, error }));
  }
  process.exit();
}
