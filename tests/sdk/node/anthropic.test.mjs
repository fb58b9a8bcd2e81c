// Anthropic's SDK for Node through the gateway, against providers of every dialect.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';

import { CHAT, DIALECTS, KEY, MODELS, collect, startScripted, startSimulator, startTranslator, told } from './support.mjs';

const TEXT = 'Grüße, 世界! one two  three 🦀 "quoted" \\ end';
const COUNTS = { input_tokens: 10, output_tokens: 9, cached_tokens: 5 };
const object = (properties) => ({ type: 'object', properties, required: Object.keys(properties) });
const TOOLS = [
  { name: 'weather', input_schema: object({ city: { type: 'string' }, days: { type: 'integer' } }) },
  { name: 'clock', input_schema: object({ zone: { type: 'string' } }) },
  { name: 'nothing', input_schema: object({}) },
];
const CALLS = [['weather', { city: 'Paris', days: 7 }], ['clock', { zone: 'text' }], ['nothing', {}]];
let simulator, scripted, gateway, client;

before(async () => {
  [simulator, scripted] = await Promise.all([startSimulator(), startScripted()]);
  gateway = await startTranslator(simulator, scripted);
  client = new Anthropic({ baseURL: `http://${gateway.address}`, apiKey: KEY, maxRetries: 0, timeout: 60_000 });
});
after(() => Promise.all([gateway?.stop(), simulator?.stop(), scripted?.stop()]));

function requestOf(dialect, behaviour = {}, more = {}) {
  return { model: MODELS[dialect], max_tokens: 2000, messages: [{ role: 'user', content: told(behaviour) }], ...more };
}

/** The calls among the blocks of a message. */
function callsOf(message) {
  return message.content.filter((block) => block.type === 'tool_use');
}

for (const dialect of DIALECTS) {
  test(`a message is answered with usage by ${dialect}`, async () => {
    const answer = await client.messages.create(requestOf(dialect, { content: TEXT, ...COUNTS }));
    assert.deepEqual(answer.content.map(({ type, text }) => [type, text]), [['text', TEXT]]);
    assert.deepEqual([answer.role, answer.stop_reason, answer.model], ['assistant', 'end_turn', MODELS[dialect].split('/')[1]]);
    const { input_tokens, cache_read_input_tokens, output_tokens } = answer.usage;
    assert.deepEqual([input_tokens, cache_read_input_tokens, output_tokens], [10, 5, 9]);
  });

  test(`the stream helper puts text, thought and calls of ${dialect} together`, async () => {
    const stream = client.messages.stream(requestOf(dialect, { events: 2, thinking: 2, tools: 3, ...COUNTS }, { tools: TOOLS }));
    const pieces = { text: '', thinking: '' };
    stream.on('text', (delta) => (pieces.text += delta));
    stream.on('thinking', (delta) => (pieces.thinking += delta));
    const blocks = [];
    stream.on('contentBlock', (block) => blocks.push(block.type));
    const final = await stream.finalMessage();
    assert.deepEqual(pieces, { text: 'word0 word1 ', thinking: 'thought0 thought1 ' });
    assert.deepEqual(blocks, ['thinking', 'text', 'tool_use', 'tool_use', 'tool_use']);
    const calls = callsOf(final);
    assert.deepEqual(calls.map(({ name, input }) => [name, input]), CALLS);
    assert.equal(new Set(calls.map((call) => call.id)).size, 3);
    const { input_tokens, cache_read_input_tokens, output_tokens } = final.usage;
    assert.deepEqual([final.stop_reason, input_tokens, cache_read_input_tokens, output_tokens], ['tool_use', 10, 5, 9]);
  });

  test(`the events of a stream of ${dialect} come in order`, async () => {
    const events = await collect(await client.messages.create(requestOf(dialect, { events: 3 }, { stream: true })));
    const kinds = events.map((event) => event.type).filter((kind, at, all) => kind !== all[at - 1]);
    assert.deepEqual(kinds.filter((kind) => kind !== 'ping'), [
      'message_start', 'content_block_start', 'content_block_delta', 'content_block_stop', 'message_delta', 'message_stop',
    ]);
    const texts = events.filter((event) => event.type === 'content_block_delta').map((event) => event.delta.text);
    assert.deepEqual(texts, ['word0 ', 'word1 ', 'word2 ']);
  });

  test(`tools are called by ${dialect} and answered`, async () => {
    const request = requestOf(dialect, { tools: 2, thinking: 1 }, { tools: TOOLS });
    const answer = await client.messages.create(request);
    const calls = callsOf(answer);
    assert.deepEqual(calls.map(({ name, input }) => [name, input]), CALLS.slice(0, 2));
    const results = calls.map(({ id, name }) => ({ type: 'tool_result', tool_use_id: id, content: `${name}!` }));
    const turns = [{ role: 'assistant', content: answer.content }, { role: 'user', content: results }];
    const final = await client.messages.create({ ...request, messages: [...request.messages, ...turns] });
    assert.equal(final.content.at(-1).text, 'This is the simulated provider. The tool said: weather! | clock!');
  });

  test(`errors of ${dialect} are of the class of their status`, async () => {
    for (const [status, kind, type] of [
      [400, Anthropic.BadRequestError, 'invalid_request_error'],
      [404, Anthropic.NotFoundError, 'not_found_error'],
      [429, Anthropic.RateLimitError, 'rate_limit_error'],
      [500, Anthropic.InternalServerError, 'api_error'],
    ]) {
      await assert.rejects(client.messages.create(requestOf(dialect, { status })), (error) => {
        assert.ok(error instanceof kind, `${status}: ${error}`);
        assert.deepEqual([error.error.type, error.error.error.type], ['error', type]);
        return /A fault that was asked for\./.test(error.error.error.message);
      });
    }
  });

  test(`a stream of ${dialect} that breaks raises and never ends well`, async () => {
    for (const end of ['error_after_events', 'cut_after_events']) {
      const events = [];
      const read = async () => {
        const request = requestOf(dialect, { events: 20, pace_ms: 2, [end]: 9 }, { stream: true });
        for await (const event of await client.messages.create(request)) events.push(event);
      };
      await assert.rejects(read(), Anthropic.APIError);
      const kinds = events.map((event) => event.type);
      assert.ok(kinds.includes('content_block_delta') && !kinds.includes('message_delta') && !kinds.includes('message_stop'));
    }
  });
}

test('the tool runner answers calls until the model is content', async () => {
  // Only Anthropic keeps threads; without one the runner sends the whole conversation.
  for (const [dialect, threads] of [['messages', {}], ['chat', { thread: false }], ['gemini', { thread: false }]]) {
    const seen = [];
    const run = (input) => {
      seen.push(input);
      return 'sunny';
    };
    const tools = [{ ...TOOLS[0], type: 'custom', parse: (input) => input, run }];
    const runner = client.beta.messages.toolRunner({ ...requestOf(dialect), tools, max_iterations: 3, ...threads });
    const final = await runner.runUntilDone();
    assert.deepEqual(seen, [{ city: 'Paris', days: 7 }], dialect);
    assert.equal(final.content.at(-1).text, 'This is the simulated provider. The tool said: sunny');
  }
});

test('a thread is refused by name where the provider keeps none', async () => {
  const request = { ...requestOf('chat'), thread: { type: 'create' } };
  await assert.rejects(client.beta.messages.create(request), (error) => {
    return error instanceof Anthropic.BadRequestError && error.error.error.message.includes('`thread`');
  });
});

test('tokens are counted and models are listed', async () => {
  const messages = [{ role: 'user', content: told({ input_tokens: 7 }) }];
  assert.equal((await client.messages.countTokens({ model: MODELS.messages, messages })).input_tokens, 7);
  const ids = (await collect(await client.models.list({ limit: 1000 }))).map((model) => model.id);
  for (const id of [CHAT, 'anthropic/simulated-chat', 'gemini/simulated-chat']) assert.ok(ids.includes(id), id);
});
