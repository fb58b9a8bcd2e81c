// Error classes, retries and timeouts on either side, answers that are cut, and clients that leave, with the Node SDK.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import OpenAI from 'openai';

import {
  CHAT, GOOD_ANSWER, ask, badAnswer, busyConnections, clientOf, collect, countFrom, eventually, startGateway, startScripted,
  startSimulator, textOf,
} from './support.mjs';

let simulator, scripted, gateway, plainGateway, impatientGateway, client;

before(async () => {
  [simulator, scripted] = await Promise.all([startSimulator(), startScripted()]);
  const limits = { RINGWAY_UPSTREAM_FIRST_BYTE_TIMEOUT: '500ms', RINGWAY_UPSTREAM_IDLE_TIMEOUT: '500ms' };
  [gateway, plainGateway, impatientGateway] = await Promise.all([
    startGateway(simulator, scripted, { RETRY_INITIAL_BACKOFF: '1ms', RETRY_MAX_BACKOFF: '5ms' }),
    startGateway(simulator, scripted, { RETRY_MAX_RETRIES: '0' }),
    startGateway(simulator, scripted, { RETRY_MAX_RETRIES: '0', ...limits }),
  ]);
  client = clientOf(gateway);
});
after(() => Promise.all([gateway, plainGateway, impatientGateway, simulator, scripted].map((process) => process?.stop())));

/** The error that a call ends with. */
async function errorOf(promise) {
  return promise.then(
    () => assert.fail('it did not fail'),
    (error) => error,
  );
}

function chat(of, sim, more = {}, options = {}) {
  return of.chat.completions.create({ model: CHAT, messages: ask(), sim, ...more }, options);
}

function chatsOf(counted) {
  return counted('ringway_requests_total', 'endpoint="chat"');
}

const CLASSES = [
  [400, OpenAI.BadRequestError],
  [403, OpenAI.PermissionDeniedError],
  [404, OpenAI.NotFoundError],
  [409, OpenAI.ConflictError],
  [422, OpenAI.UnprocessableEntityError],
  [429, OpenAI.RateLimitError],
  [500, OpenAI.InternalServerError],
  [503, OpenAI.InternalServerError],
];

test("a provider's error keeps its status and words", async () => {
  for (const [status, kind] of CLASSES) {
    for (const stream of [false, true]) {
      const error = await errorOf(chat(clientOf(plainGateway), { status, retry_after: 17 }, { stream }));
      assert.equal(error.constructor, kind, `${status}`);
      assert.deepEqual([error.status, error.requestID.length], [status, 36]);
      assert.match(error.message, /A fault that was asked for\./);
      assert.deepEqual([error.code, error.type], [error.error.code, error.error.type]);
      assert.equal(error.headers.get('retry-after'), '17');
    }
  }
});

test('a wrong key is an authentication error', async () => {
  const error = await errorOf(chat(clientOf(gateway, { apiKey: 'wrong' }), {}));
  assert.ok(error instanceof OpenAI.AuthenticationError);
  assert.equal(error.code, 'invalid_api_key');
});

test('an unknown model is not found', async () => {
  const error = await errorOf(client.chat.completions.create({ model: 'no-such-model', messages: ask() }));
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
});

test('a bad body is a bad request', async () => {
  const headers = { 'content-type': 'application/json' };
  for (const body of ['{"model":"simulated-chat","model":"simulated-chat"}', '["model"]', 'no json', '{"messages":[]}']) {
    const error = await errorOf(client.post('/chat/completions', { body: Buffer.from(body), headers }));
    assert.ok(error instanceof OpenAI.BadRequestError, body);
    assert.equal(error.type, 'invalid_request_error');
  }
});

test('the SDK retries as set when the gateway does not', async () => {
  for (const maxRetries of [0, 2]) {
    const counted = await countFrom(plainGateway);
    const error = await errorOf(chat(clientOf(plainGateway, { maxRetries }), { status: 503, retry_after: 0.01 }));
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.deepEqual([await chatsOf(counted), await counted('ringway_retries_total')], [maxRetries + 1, 0]);
  }
});

test('the SDK does not retry what the gateway has retried', async () => {
  for (const [status, kind] of [[429, OpenAI.RateLimitError], [503, OpenAI.InternalServerError]]) {
    const counted = await countFrom(gateway);
    const error = await errorOf(chat(clientOf(gateway, { maxRetries: 3 }), { status, retry_after: 0.01 }));
    assert.equal(error.constructor, kind);
    assert.equal(error.headers.get('x-should-retry'), 'false');
    const retries = await counted('ringway_retries_total', 'provider="simulated"', 'reason="status"');
    assert.deepEqual([await chatsOf(counted), retries], [1, 2]);
  }
});

test('a provider that recovers costs the client nothing', async () => {
  scripted.willAnswer(badAnswer(503), badAnswer(429, { 'retry-after-ms': '1' }), GOOD_ANSWER);
  const answer = await client.chat.completions.create({ model: 'vllm/scripted', messages: ask() });
  assert.equal(answer.choices[0].message.content, 'good');
  assert.deepEqual([scripted.bodies.length, new Set(scripted.bodies).size], [3, 1]);
});

test('a retry of the SDK succeeds behind a gateway that asks once', async () => {
  scripted.willAnswer(badAnswer(429, { 'retry-after-ms': '1' }), GOOD_ANSWER);
  const retrying = clientOf(plainGateway, { maxRetries: 1 });
  const answer = await retrying.chat.completions.create({ model: 'vllm/scripted', messages: ask() });
  assert.deepEqual([answer.choices[0].message.content, scripted.bodies.length], ['good', 2]);
});

test('a timeout of the client frees the provider', async () => {
  const counted = await countFrom(gateway);
  const error = await errorOf(chat(clientOf(gateway, { timeout: 500 }), { stall: 'head' }));
  assert.ok(error instanceof OpenAI.APIConnectionTimeoutError);
  assert.equal(await counted('ringway_clients_gone_total'), 1);
});

test('a provider that does not begin, or stops, is a gateway timeout', async () => {
  for (const [stall, stream, code] of [
    ['head', false, 'upstream_first_byte_timeout'],
    ['head', true, 'upstream_first_byte_timeout'],
    ['body', false, 'upstream_idle_timeout'],
  ]) {
    const error = await errorOf(chat(clientOf(impatientGateway), { stall }, { stream }));
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.deepEqual([error.status, error.code], [504, code]);
  }
});

/** The chunks that came, and the error that ended them; fails when the stream ends as if it were whole. */
async function readUntilError(stream) {
  const chunks = [];
  const read = async () => {
    for await (const chunk of stream) chunks.push(chunk);
  };
  return { chunks, error: await errorOf(read()) };
}

test('a provider that stops in a stream is an error in it', async () => {
  const stream = await chat(clientOf(impatientGateway), { stall: 'body' }, { stream: true });
  const { chunks, error } = await readUntilError(stream);
  assert.ok(error instanceof OpenAI.APIError);
  assert.deepEqual([chunks.length, error.code], [1, 'upstream_idle_timeout']);
});

test('a stream that is cut raises and never ends well', async () => {
  for (const way of ['cut_after_events', 'reset_after_events']) {
    // Before the first event nothing has left: the status tells, and the SDK knows it for an error.
    const none = await errorOf(chat(client, { events: 21, pace_ms: 1, [way]: 0 }, { stream: true }));
    assert.deepEqual([none.constructor, none.status, none.code], [OpenAI.InternalServerError, 502, 'upstream_cut']);
    for (const count of [1, 21]) {
      // 22 events hold everything but the finish reason and the marker.
      const stream = await chat(client, { events: 21, pace_ms: 1, [way]: count }, { stream: true });
      const { chunks, error } = await readUntilError(stream);
      assert.ok(error instanceof OpenAI.APIError);
      assert.equal(error.code, 'upstream_cut');
      assert.ok(way === 'cut_after_events' ? chunks.length === count : chunks.length <= count);
      assert.ok(!chunks.some((chunk) => chunk.choices[0].finish_reason));
    }
  }
});

test('an answer that is cut is a server error when short and a broken connection when long', async () => {
  const short = await errorOf(chat(client, { cut_after_bytes: 100 }));
  assert.deepEqual([short.constructor, short.status, short.code], [OpenAI.InternalServerError, 502, 'upstream_cut']);
  const long = await errorOf(chat(client, { content: 'long '.repeat(100_000), cut_after_bytes: 300_000 }));
  assert.match(`${long} ${long.cause}`, /terminated|other side closed|Connection error/);
});

test('garbage is a server error', async () => {
  const error = await errorOf(chat(client, { garbage: true }));
  assert.deepEqual([error.constructor, error.code], [OpenAI.InternalServerError, 'upstream_malformed']);
});

test('a client that aborts a stream frees the provider', async () => {
  const counted = await countFrom(gateway);
  const streams = await Promise.all(
    Array.from({ length: 8 }, () => chat(client, { events: 100_000, pace_ms: 5 }, { stream: true })),
  );
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  for (const iterator of iterators) {
    const texts = [];
    for (let turn = 0; turn < 3; turn += 1) texts.push((await iterator.next()).value.choices[0].delta.content);
    assert.deepEqual(texts, ['', 'word0 ', 'word1 ']);
  }
  assert.equal(await busyConnections(gateway), 8);
  streams.forEach((stream) => stream.controller.abort());
  assert.equal(await counted('ringway_clients_gone_total'), 8);
  const next = await chat(client, { content: 'next' });
  assert.equal(next.choices[0].message.content, 'next');
});

test('a loop that breaks off, and a signal before the answer, free the provider', async () => {
  const counted = await countFrom(gateway);
  for await (const chunk of await chat(client, { events: 100_000, pace_ms: 5 }, { stream: true })) {
    if (chunk.choices[0].delta.content === 'word1 ') break;
  }
  const controller = new AbortController();
  const waiting = errorOf(chat(client, { stall: 'head' }, {}, { signal: controller.signal }));
  await eventually('the request to reach the provider', async () => (await busyConnections(gateway)) > 0);
  controller.abort();
  assert.ok((await waiting) instanceof OpenAI.APIUserAbortError);
  assert.equal(await counted('ringway_clients_gone_total'), 2);
});

test('an unknown field of a stream does not disturb it', async () => {
  const chunks = await collect(await chat(client, { content: 'a b c' }, { stream: true, unknown: { x: [1] } }));
  assert.equal(textOf(chunks), 'a b c');
});
