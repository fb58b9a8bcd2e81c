// Chat, streams, tools, structured output, embeddings and models as applications of the Node SDK call them.

import assert from 'node:assert/strict';
import { File } from 'node:buffer';
import { after, before, test } from 'node:test';

import OpenAI, { toFile } from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import {
  CHAT, DRIVER, EMBED, ask, clientOf, collect, countFrom, startGateway, startScripted, startSimulator, textOf,
} from './support.mjs';

// Node 18 has no global File; the SDK says to set it.
globalThis.File ??= File;

const TEXT = 'Grüße, 世界! one two  three 🦀 "quoted" \\ end';
const WORDS = TEXT.split(/\s+/).length;
let simulator, scripted, gateway, client;

before(async () => {
  [simulator, scripted] = await Promise.all([startSimulator(), startScripted()]);
  gateway = await startGateway(simulator, scripted);
  client = clientOf(gateway);
});
after(() => Promise.all([gateway?.stop(), simulator?.stop(), scripted?.stop()]));

test('the gateway runs on the event loop that was asked for', () => {
  const loop = gateway.firstLine.match(/ shards on (\w+);/)[1];
  assert.ok(loop === DRIVER || DRIVER === 'auto', loop);
});

test('a chat is answered with usage', async () => {
  for (const model of [CHAT, 'simulated-chat']) {
    const answer = await client.chat.completions.create({ model, messages: ask() });
    const { message, finish_reason } = answer.choices[0];
    assert.deepEqual([message.role, finish_reason, answer.model], ['assistant', 'stop', 'simulated-chat']);
    assert.ok(message.content.startsWith('This is the simulated provider.'));
    assert.equal(answer.usage.completion_tokens, message.content.split(' ').length);
  }
});

test("a provider gets the very bytes of the SDK but for the model's name", async () => {
  for (const text of ['hi', 'ü🦀\n\u0000"\\', 'x'.repeat(1 << 20)]) {
    let sent;
    const fetchNoting = (url, init) => {
      sent = init.body;
      return fetch(url, init);
    };
    const body = { model: CHAT, messages: ask(text), unknown: { größe: [1.5, null, { deep: [[]] }] }, sim: { echo: true } };
    const answer = await clientOf(gateway, { fetch: fetchNoting }).chat.completions.create(body);
    assert.deepEqual(JSON.parse(sent), body);
    assert.equal(answer.choices[0].message.content, sent.replace(`"${CHAT}"`, '"simulated-chat"'));
  }
});

test('a stream without usage shows none although the gateway counts it', async () => {
  for (const options of [{}, { stream_options: { include_usage: false } }]) {
    const counted = await countFrom(gateway);
    const stream = await client.chat.completions.create({ model: CHAT, messages: ask(), stream: true, sim: { content: TEXT }, ...options });
    const chunks = await collect(stream);
    assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && chunk.usage == null));
    assert.equal(textOf(chunks), TEXT);
    const roles = chunks.map((chunk) => chunk.choices[0].delta.role);
    assert.deepEqual([roles[0], roles.slice(1).some(Boolean)], ['assistant', false]);
    const finishes = chunks.map((chunk) => chunk.choices[0].finish_reason);
    assert.deepEqual([finishes.pop(), finishes.some(Boolean)], ['stop', false]);
    assert.equal(await counted('ringway_tokens_total', 'provider="simulated"', 'kind="out"'), WORDS);
  }
});

test('a stream with usage ends with one chunk of it', async () => {
  const request = { model: CHAT, messages: ask(), stream: true, stream_options: { include_usage: true }, sim: { content: TEXT } };
  const chunks = await collect(await client.chat.completions.create(request));
  const last = chunks.pop();
  assert.deepEqual([last.choices, last.usage.completion_tokens], [[], WORDS]);
  assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && chunk.usage === null));
});

test('a stream is whole at any pace and length', async () => {
  for (const sim of [{ events: 20, pace_ms: 1 }, { events: 20, drip_ms: 0 }, { events: 3000 }]) {
    const chunks = await collect(await client.chat.completions.create({ model: CHAT, messages: ask(), stream: true, sim }));
    assert.equal(textOf(chunks), Array.from({ length: sim.events }, (_, index) => `word${index} `).join(''));
  }
});

test('the stream helper puts the answer together', async () => {
  const stream = client.chat.completions.stream({ model: CHAT, messages: ask(), sim: { content: TEXT } });
  let text = '';
  stream.on('content', (delta) => (text += delta));
  const final = await stream.finalChatCompletion();
  assert.deepEqual([text, final.choices[0].message.content, final.choices[0].finish_reason], [TEXT, TEXT, 'stop']);
});

test('completions answer whole and in streams', async () => {
  const request = { model: CHAT, prompt: 'Say', sim: { content: TEXT } };
  const answer = await client.completions.create(request);
  assert.deepEqual([answer.choices[0].text, answer.usage.completion_tokens], [TEXT, WORDS]);
  const chunks = await collect(await client.completions.create({ ...request, stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(''), TEXT);
});

test('request ids and rate limit headers reach the client', async () => {
  const { data, response, request_id } = await client.chat.completions.create({ model: CHAT, messages: ask() }).withResponse();
  const id = response.headers.get('x-request-id');
  assert.equal(id.length, 36);
  assert.deepEqual([request_id, data._request_id], [id, id]);
  assert.equal(response.headers.get('x-upstream-request-id'), 'req_simulated');
  assert.equal(response.headers.get('x-ratelimit-remaining-requests'), '9999');
});

test('concurrent calls get each their own answer', async () => {
  const indexes = Array.from({ length: 40 }, (_, index) => index);
  const answers = await Promise.all(
    indexes.map((index) =>
      client.chat.completions.create({ model: CHAT, messages: ask(), sim: { content: `answer ${index}`, delay_ms: index % 7 } }),
    ),
  );
  assert.deepEqual(answers.map((answer) => answer.choices[0].message.content), indexes.map((index) => `answer ${index}`));
});

const Weather = z.object({
  city: z.string(),
  readings: z.array(z.object({ degrees: z.number(), unit: z.enum(['celsius', 'fahrenheit']) })),
  is_wet: z.boolean(),
});
const WEATHER = { city: 'Paris', readings: [{ degrees: 1.5, unit: 'celsius' }], is_wet: true };
const TOOLS = [zodFunction({ name: 'weather', parameters: Weather }), zodFunction({ name: 'clock', parameters: z.object({ zone: z.string() }) })];

test('tools are called, whole and in fragments that keep their index', async () => {
  const request = { model: CHAT, messages: ask(), tools: TOOLS, sim: { calls: 2 } };
  const answer = await client.chat.completions.parse(request);
  const [weather, clock] = answer.choices[0].message.tool_calls;
  assert.equal(answer.choices[0].finish_reason, 'tool_calls');
  assert.deepEqual([weather.function.name, weather.function.parsed_arguments], ['weather', WEATHER]);
  assert.deepEqual([clock.function.name, clock.function.parsed_arguments], ['clock', { zone: 'text' }]);
  const stream = client.chat.completions.stream(request);
  const done = [];
  stream.on('tool_calls.function.arguments.done', ({ index, name, parsed_arguments }) => done.push([index, name, parsed_arguments]));
  const final = await stream.finalChatCompletion();
  assert.deepEqual(done, [[0, 'weather', WEATHER], [1, 'clock', { zone: 'text' }]]);
  assert.deepEqual(final.choices[0].message.tool_calls.map((call) => call.id), [weather.id, clock.id]);
  assert.notEqual(weather.id, clock.id);
});

test('the tool runner answers calls until the model is content', async () => {
  const seen = [];
  const tool = {
    type: 'function',
    function: {
      name: 'weather',
      parse: JSON.parse,
      parameters: { type: 'object', properties: { city: { type: 'string' } } },
      function: (parameters) => {
        seen.push(parameters);
        return 'sunny';
      },
    },
  };
  const runner = client.chat.completions.runTools({ model: CHAT, messages: ask(), tools: [tool], stream: true });
  assert.ok((await runner.finalContent()).startsWith('This is the simulated provider.'));
  assert.deepEqual(seen, [{ city: 'Paris' }]);
});

test('structured output is parsed, whole and streamed', async () => {
  const request = { model: CHAT, messages: ask(), response_format: zodResponseFormat(Weather, 'weather') };
  const answer = await client.chat.completions.parse(request);
  assert.deepEqual(answer.choices[0].message.parsed, WEATHER);
  const final = await client.chat.completions.stream(request).finalChatCompletion();
  assert.deepEqual(final.choices[0].message.parsed, WEATHER);
});

test('embeddings are the same as base64 and as numbers', async () => {
  // The SDK asks for base64 by itself and decodes it.
  const input = ['a', 'b', 'c'];
  const packed = await client.embeddings.create({ model: EMBED, input });
  const raw = await client.embeddings.create({ model: EMBED, input, encoding_format: 'base64' });
  const numbers = await client.embeddings.create({ model: EMBED, input, encoding_format: 'float' });
  assert.equal(typeof raw.data[0].embedding, 'string');
  assert.deepEqual(packed.data, numbers.data);
  assert.deepEqual(packed.data.map((item) => item.index), [0, 1, 2]);
  assert.deepEqual(packed.data[1].embedding.slice(0, 2), [31 / 128, 38 / 128]);
  const sized = await client.embeddings.create({ model: EMBED, input: 'one', dimensions: 1536 });
  assert.equal(sized.data[0].embedding.length, 1536);
});

test('models are listed bare and with their provider', async () => {
  const ids = (await collect(await client.models.list())).map((model) => model.id);
  for (const id of ['simulated-chat', CHAT, 'scripted', 'vllm/scripted']) {
    assert.ok(ids.includes(id), id);
    assert.equal((await client.models.retrieve(id)).id, id);
  }
  await assert.rejects(client.models.retrieve('no-such-model'), (error) => {
    return error instanceof OpenAI.NotFoundError && error.code === 'model_not_found';
  });
});

test('a file for an unknown endpoint streams through', async () => {
  const sizes = [10, 3 << 20];
  const echoes = [];
  for (const size of sizes) {
    const file = await toFile(Buffer.alloc(size, 0xff), 'speech.wav');
    echoes.push(await client.audio.transcriptions.create({ model: 'simulated/whisper', file }));
  }
  for (const echo of echoes) assert.deepEqual([echo.method, echo.path], ['POST', '/v1/audio/transcriptions']);
  // The forms differ in nothing but their files.
  assert.equal(echoes[1].body_bytes - echoes[0].body_bytes, sizes[1] - sizes[0]);
});
