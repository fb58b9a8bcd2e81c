// OpenAI's Responses by its SDK for Node, against providers of every dialect.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { DIALECTS, MODELS, clientOf, collect, startScripted, startSimulator, startTranslator, told } from './support.mjs';

const TEXT = 'Grüße, 世界! one two  three 🦀 "quoted" \\ end';
const COUNTS = { input_tokens: 10, output_tokens: 9, cached_tokens: 5 };
const tool = (name, properties) => ({
  type: 'function',
  name,
  parameters: { type: 'object', properties, required: Object.keys(properties), additionalProperties: false },
  strict: true,
});
const TOOLS = [
  tool('weather', { city: { type: 'string' }, days: { type: 'integer' } }),
  tool('clock', { zone: { type: 'string' } }),
];
const CALLS = [['weather', { city: 'Paris', days: 7 }], ['clock', { zone: 'text' }]];
const Weather = z.object({ city: z.string(), days: z.number(), is_wet: z.boolean() });
const WEATHER = { city: 'Paris', days: 1.5, is_wet: true };
let simulator, scripted, gateway, client;

before(async () => {
  [simulator, scripted] = await Promise.all([startSimulator(), startScripted()]);
  gateway = await startTranslator(simulator, scripted);
  client = clientOf(gateway).responses;
});
after(() => Promise.all([gateway?.stop(), simulator?.stop(), scripted?.stop()]));

function requestOf(dialect, behaviour = {}, more = {}) {
  return { model: MODELS[dialect], input: told(behaviour), ...more };
}

function callsOf(response) {
  return response.output.filter((item) => item.type === 'function_call');
}

for (const dialect of DIALECTS) {
  test(`a response is created with usage by ${dialect}`, async () => {
    const answer = await client.create(requestOf(dialect, { content: TEXT, ...COUNTS }));
    assert.deepEqual([answer.status, answer.output_text, answer.model], ['completed', TEXT, MODELS[dialect].split('/')[1]]);
    const { input_tokens, input_tokens_details, output_tokens, total_tokens } = answer.usage;
    assert.deepEqual([input_tokens, input_tokens_details.cached_tokens, output_tokens, total_tokens], [15, 5, 9, 24]);
  });

  test(`the events of a stream of ${dialect} come in order`, async () => {
    const events = await collect(await client.create(requestOf(dialect, { events: 3, thinking: 1 }, { stream: true })));
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, index) => index));
    const added = events.filter((event) => event.type === 'response.output_item.added');
    // Gemini signs its text as well; that signature travels in an item of its own.
    const types = dialect === 'gemini' ? ['reasoning', 'message', 'reasoning'] : ['reasoning', 'message'];
    assert.deepEqual(added.map((event) => [event.output_index, event.item.type]), types.map((type, at) => [at, type]));
    const deltas = events.filter((event) => event.type === 'response.output_text.delta').map((event) => event.delta);
    assert.deepEqual(deltas, ['word0 ', 'word1 ', 'word2 ']);
    const { type, response } = events.at(-1);
    assert.deepEqual([type, response.output.map((item) => item.type)], ['response.completed', types]);
  });

  test(`the stream helper puts an answer of ${dialect} together, and it is answered`, async () => {
    const request = requestOf(dialect, { tools: 2, thinking: 1 }, { tools: TOOLS });
    const answer = await client.stream(request).finalResponse();
    const calls = callsOf(answer);
    assert.deepEqual(calls.map((call) => [call.name, JSON.parse(call.arguments)]), CALLS);
    const outputs = calls.map(({ call_id, name }) => ({ type: 'function_call_output', call_id, output: `${name}!` }));
    const given = answer.output.map(({ parsed_arguments, ...item }) => item);
    const input = [{ role: 'user', content: request.input }, ...given, ...outputs];
    const final = await client.create({ ...request, input });
    assert.equal(final.output_text, 'This is the simulated provider. The tool said: weather! | clock!');
  });

  test(`structured output of ${dialect} is parsed, whole and streamed`, async () => {
    const request = requestOf(dialect, {}, { text: { format: zodTextFormat(Weather, 'weather') } });
    assert.deepEqual((await client.parse(request)).output_parsed, WEATHER);
    assert.deepEqual((await client.stream(request).finalResponse()).output_parsed, WEATHER);
  });

  test(`errors of ${dialect} are of the class of their status`, async () => {
    for (const [status, kind] of [
      [400, OpenAI.BadRequestError],
      [404, OpenAI.NotFoundError],
      [429, OpenAI.RateLimitError],
      [500, OpenAI.InternalServerError],
    ]) {
      await assert.rejects(client.create(requestOf(dialect, { status })), (error) => {
        assert.ok(error instanceof kind, `${status}: ${error}`);
        return /A fault that was asked for\./.test(error.message);
      });
    }
  });
}
