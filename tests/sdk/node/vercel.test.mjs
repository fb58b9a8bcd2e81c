// Vercel's AI SDK with the packages of three vendors through the gateway, each against providers of every dialect.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';

import { DIALECTS, KEY, MODELS, collect, lastOf, startScripted, startSimulator, startTranslator, told } from './support.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

const TEXT = 'Grüße, 世界! one two  three 🦀 "quoted" \\ end';
const COUNTS = { input_tokens: 10, output_tokens: 9, cached_tokens: 5 };
const PATHS = {
  chat: '/v1/chat/completions',
  messages: '/v1/messages',
  gemini: '/v1beta/models/gemini-3-flash:',
  converse: '/model/simulated-chat/converse',
  responses: '/v1/responses',
};
const Weather = z.object({ city: z.string(), days: z.number(), is_wet: z.boolean() });
const WEATHER = { city: 'Paris', days: 1.5, is_wet: true };
let simulator, scripted, gateway, clients;

before(async () => {
  [simulator, scripted] = await Promise.all([startSimulator(), startScripted()]);
  gateway = await startTranslator(simulator, scripted);
  const options = { apiKey: KEY, baseURL: gateway.baseURL };
  const openai = createOpenAI(options);
  const google = createGoogleGenerativeAI({ ...options, baseURL: `http://${gateway.address}/v1beta` });
  clients = {
    anthropic: createAnthropic(options),
    // It leaves `models/` out where the name has a slash.
    google: (model) => google(`models/${model}`),
    bareGoogle: google,
    responses: openai,
    chat: openai.chat,
  };
});
after(() => Promise.all([gateway?.stop(), simulator?.stop(), scripted?.stop()]));

for (const client of ['anthropic', 'google', 'responses', 'chat']) {
  for (const dialect of DIALECTS) {
    const request = (behaviour = {}, more = {}) => ({
      model: clients[client](MODELS[dialect]), prompt: told(behaviour), maxRetries: 0, ...more,
    });

    test(`${client} generates text by ${dialect}, whole and streamed`, async () => {
      const answer = await generateText(request({ content: TEXT, ...COUNTS }));
      assert.ok((await lastOf(simulator)).path.startsWith(PATHS[dialect]));
      assert.deepEqual([answer.text, answer.finishReason], [TEXT, 'stop']);
      const { inputTokens, cachedInputTokens, outputTokens } = answer.usage;
      assert.deepEqual([inputTokens, cachedInputTokens, outputTokens], [15, 5, 9]);
      const stream = streamText(request({ content: TEXT, ...COUNTS }));
      assert.equal((await collect(stream.textStream)).join(''), TEXT);
      assert.deepEqual([await stream.finishReason, (await stream.usage).outputTokens], ['stop', 9]);
    });

    test(`${client} says why ${dialect} stopped`, async () => {
      const answer = await generateText(request({ events: 2, finish: 'length' }));
      assert.deepEqual([answer.text, answer.finishReason], ['word0 word1 ', 'length']);
    });

    test(`${client} answers the calls of ${dialect} until it is content`, async () => {
      const seen = [];
      const weather = tool({
        description: 'The weather of a city.',
        inputSchema: z.object({ city: z.string(), days: z.number() }),
        execute: (input) => {
          seen.push(input);
          return `sunny ${seen.length}`;
        },
      });
      const options = request({ tools: 2 }, { tools: { weather }, stopWhen: stepCountIs(3) });
      const answer = await generateText(options);
      // Google's package wraps what a tool said in an object.
      assert.match(answer.text, /^This is the simulated provider\. The tool said: .*sunny 1.* \| .*sunny 2/);
      assert.deepEqual(answer.steps.map((step) => step.finishReason), ['tool-calls', 'stop']);
      const stream = streamText(options);
      assert.match((await collect(stream.textStream)).join(''), /The tool said: .*sunny 3.* \| .*sunny 4/);
      assert.deepEqual(seen, Array(4).fill({ city: 'Paris', days: 1.5 }));
    });

    test(`${client} generates objects by ${dialect}, whole and streamed`, async () => {
      assert.deepEqual((await generateObject(request({}, { schema: Weather }))).object, WEATHER);
      const stream = streamObject(request({}, { schema: Weather }));
      await collect(stream.partialObjectStream);
      assert.deepEqual(await stream.object, WEATHER);
    });

    test(`${client} reads the thoughts of ${dialect}`, async () => {
      // The package for chat knows no thoughts.
      if (client === 'chat') return;
      const answer = await generateText(request({ thinking: 2, events: 2 }));
      assert.deepEqual([answer.reasoningText, answer.text], ['thought0 thought1 ', 'word0 word1 ']);
      const stream = streamText(request({ thinking: 2, events: 2 }));
      await stream.consumeStream();
      assert.deepEqual([await stream.reasoningText, await stream.text], ['thought0 thought1 ', 'word0 word1 ']);
    });

    test(`${client} gets the errors of ${dialect}`, async () => {
      for (const [status, isRetryable] of [[400, false], [429, true]]) {
        await assert.rejects(generateText(request({ status })), (error) => {
          assert.ok(APICallError.isInstance(error), `${error}`);
          assert.deepEqual([error.statusCode, error.isRetryable], [status, isRetryable]);
          return /A fault that was asked for\./.test(error.message);
        });
      }
    });
  }
}

test('a model of google is found without the folder too', async () => {
  const answer = await generateText({ model: clients.bareGoogle(MODELS.messages), prompt: told({ content: 'in' }), maxRetries: 0 });
  assert.equal(answer.text, 'in');
});
