// Event streams of the AWS SDK for JavaScript v3 through the proxy: all from the environment, as `rotakey exec --source proxy`
// sets it. Over HTTP/2 with prior knowledge, as this SDK has these services.

import assert from "node:assert/strict";
import { KinesisClient, PutRecordCommand, SubscribeToShardCommand } from "@aws-sdk/client-kinesis";
import { StartStreamTranscriptionCommand, TranscribeStreamingClient } from "@aws-sdk/client-transcribe-streaming";

function transcription(AudioStream) {
  const client = new TranscribeStreamingClient({ maxAttempts: 1 });
  const input = { LanguageCode: "en-US", MediaEncoding: "pcm", MediaSampleRateHertz: 16000, AudioStream };
  return client.send(new StartStreamTranscriptionCommand(input));
}

async function transcribe() {
  const said = ["one", "two", "three", "x".repeat(200_000)];
  const heard = [];
  let tell;
  // Each is sent when the one before was answered: neither side waits for the other's end.
  async function* audio() {
    for (const words of said) {
      const answered = new Promise((resolve) => (tell = resolve));
      yield { AudioEvent: { AudioChunk: Buffer.from(words) } };
      await answered;
    }
  }
  const answer = await transcription(audio());
  for await (const { TranscriptEvent } of answer.TranscriptResultStream) {
    heard.push(TranscriptEvent.Transcript.Results[0].Alternatives[0].Transcript);
    tell();
  }
  assert.deepEqual(heard, said.map((words) => `heard ${words}`));
}

async function unreachable() {
  async function* audio() {
    yield { AudioEvent: { AudioChunk: Buffer.from("one") } };
  }
  await assert.rejects(transcription(audio()), (error) => error.message.includes("the server did not answer"));
}

async function kinesis() {
  const client = new KinesisClient({ maxAttempts: 1 });
  const record = { StreamName: "s", PartitionKey: "p", Data: Buffer.from("hello") };
  const put = await client.send(new PutRecordCommand(record));
  assert.equal(put.SequenceNumber, "7");
  const ConsumerARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/s/consumer/c:1";
  const input = { ConsumerARN, ShardId: "shardId-000000000000", StartingPosition: { Type: "LATEST" } };
  const answer = await client.send(new SubscribeToShardCommand(input));
  const events = [];
  for await (const { SubscribeToShardEvent } of answer.EventStream) events.push(SubscribeToShardEvent);
  assert.equal(Buffer.from(events[0].Records[0].Data).toString(), "hello");
  assert.equal(events[0].ContinuationSequenceNumber, "8");
}

await { transcribe, unreachable, kinesis }[process.argv[2]]();
// Connections of HTTP/2 would be kept open.
process.exit(0);
