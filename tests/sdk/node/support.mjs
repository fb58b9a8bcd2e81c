// The gateway and the simulated provider as processes, and a scripted provider whose answers change from call to call.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import assert from 'node:assert/strict';

import OpenAI from 'openai';

const BINARY = process.env.RINGWAY_BINARY ?? fileURLToPath(new URL('../../../target/debug/ringway', import.meta.url));
export const DRIVER = process.env.RINGWAY_DRIVER ?? 'auto';
export const KEY = 'client-key';
export const CHAT = 'simulated/simulated-chat';
export const EMBED = 'simulated/simulated-embed';

// The SDKs read these; a test says all that it means.
for (const name of Object.keys(process.env)) {
  if (/^(OPENAI|ANTHROPIC|GEMINI|GOOGLE|AI|VERCEL)_/.test(name)) delete process.env[name];
}

/** Waits until the condition gives something; the bound only keeps a failing test from hanging. */
export async function eventually(what, holds) {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const result = await holds();
    if (result) return result;
    assert.ok(performance.now() < deadline, `waited in vain for ${what}`);
    await sleep(5);
  }
}

/** A running binary; its address is told on stderr. */
async function start(args, env, pattern) {
  // Nothing of the caller's environment becomes a provider or a proxy.
  const data = await mkdtemp(join(tmpdir(), 'ringway-sdk-'));
  const child = spawn(BINARY, args, {
    env: { PATH: process.env.PATH, RINGWAY_DATA_DIR: data, ...env },
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let text = '';
  let hasEnded = false;
  ended.then(() => (hasEnded = true));
  child.stderr.on('data', (bytes) => (text += bytes));
  const found = await eventually('the start of the process', () => {
    assert.ok(!hasEnded, `the process ended: ${text}`);
    return text.match(pattern);
  });
  const stop = () => {
    child.kill('SIGKILL');
    return ended.then(() => rm(data, { recursive: true, force: true }));
  };
  return { address: found[1], firstLine: found[0], stop };
}

export function startSimulator() {
  const args = ['simulate', '--listen', '127.0.0.1:0', '--driver', DRIVER];
  return start(args, {}, /simulating a provider on http:\/\/(\S+)\/v1/);
}

/** The gateway in front of the simulated provider and a scripted one (`vllm`). */
export async function startGateway(simulator, scripted, settings = {}) {
  const env = {
    RINGWAY_SERVER_LISTEN: '127.0.0.1:0',
    RINGWAY_DRIVER: DRIVER,
    RINGWAY_MASTER_KEY: KEY,
    RINGWAY_RETRY_BUDGET_PER_SECOND: '100000',
    SIMULATED_BASE_URL: `http://${simulator.address}/v1`,
    VLLM_BASE_URL: `http://${scripted.address}/v1`,
    ...settings,
  };
  const gateway = await start(['serve'], env, /listening on http:\/\/(\S+) .*/);
  return { ...gateway, baseURL: `http://${gateway.address}/v1` };
}

/** A model of a provider that speaks this dialect and no other for it. */
export const MODELS = {
  chat: CHAT,
  messages: 'anthropic/claude-opus-4-6',
  gemini: 'gemini/gemini-3-flash',
  converse: 'bedrock/simulated-chat',
  responses: 'openai/gpt-5-pro',
};
export const DIALECTS = Object.keys(MODELS);

/** The gateway in front of one simulated provider of every dialect; ready when it knows all their models. */
export async function startTranslator(simulator, scripted) {
  const root = `http://${simulator.address}`;
  const gateway = await startGateway(simulator, scripted, {
    RETRY_MAX_RETRIES: '0',
    ANTHROPIC_API_KEY: 'sk-upstream-0123456789',
    ANTHROPIC_BASE_URL: `${root}/v1`,
    GEMINI_API_KEY: 'sk-upstream-0123456789',
    GEMINI_BASE_URL: `${root}/v1beta`,
    BEDROCK_API_KEY: 'sk-upstream-0123456789',
    BEDROCK_BASE_URL: root,
    OPENAI_API_KEY: 'sk-upstream-0123456789',
    OPENAI_BASE_URL: `${root}/v1`,
  });
  await eventually('the models of all providers', async () => {
    const answer = await fetch(`${gateway.baseURL}/models`, { headers: { authorization: `Bearer ${KEY}` } });
    const list = await answer.text();
    return ['anthropic', 'gemini', 'openai', 'simulated'].every((provider) => list.includes(`"${provider}/simulated-chat"`));
  });
  return gateway;
}

/** A text that asks the simulated provider for a behaviour, whatever dialect the gateway translates it to. */
export function told(behaviour = {}, text = 'hi') {
  const words = Object.entries(behaviour).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${text} [[sim ${words.join(' ')}]]`;
}

/** The path of the last request that the simulated provider got, and its body. */
export async function lastOf(simulator) {
  return (await fetch(`http://${simulator.address}/sim/last`)).json();
}

/** A client that does not retry unless told so. */
export function clientOf(gateway, options = {}) {
  return new OpenAI({ baseURL: gateway.baseURL, apiKey: KEY, maxRetries: 0, timeout: 60_000, ...options });
}

async function metrics(gateway) {
  const page = await (await fetch(`http://${gateway.address}/metrics`)).text();
  const samples = page.split('\n').filter((line) => line && !line.startsWith('#'));
  return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]));
}

function sumOf(samples, family, labels) {
  const fits = (name) => name.split('{')[0] === family && labels.every((label) => name.includes(label));
  return [...samples].reduce((sum, [name, value]) => sum + (fits(name) ? value : 0), 0);
}

export async function busyConnections(gateway) {
  return (await metrics(gateway)).get('ringway_upstream_connections{provider="simulated",state="busy"}');
}

/** Counts from now on. What it gives is read when nothing is in flight and no connection to the simulator is busy. */
export async function countFrom(gateway) {
  const settled = () =>
    eventually('all exchanges to end', async () => {
      const samples = await metrics(gateway);
      const busy = samples.get('ringway_upstream_connections{provider="simulated",state="busy"}');
      // The question for the metrics is itself a request.
      return samples.get('ringway_requests_in_flight') <= 1 && busy === 0 && samples;
    });
  const before = await settled();
  return async (family, ...labels) => sumOf(await settled(), family, labels) - sumOf(before, family, labels);
}

/** A provider that answers one POST after the other as it is told, the last answer for ever, and keeps what it got. */
export async function startScripted() {
  const scripted = { answers: [], bodies: [] };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const send = (status, headers, value) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
    };
    if (request.method === 'GET') return send(200, {}, { object: 'list', data: [{ id: 'scripted', object: 'model' }] });
    scripted.bodies.push(body);
    send(...scripted.answers[Math.min(scripted.bodies.length, scripted.answers.length) - 1]);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  scripted.address = `127.0.0.1:${server.address().port}`;
  scripted.willAnswer = (...answers) => Object.assign(scripted, { answers, bodies: [] });
  scripted.stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return scripted;
}

export const GOOD_ANSWER = [200, {}, {
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'scripted',
  choices: [{ index: 0, message: { role: 'assistant', content: 'good' }, finish_reason: 'stop' }],
}];

export function badAnswer(status, headers = {}) {
  return [status, headers, { error: { message: 'not now', type: 'server_error', param: null, code: 'busy' } }];
}

export function ask(text = 'hi') {
  return [{ role: 'user', content: text }];
}

/** All that a stream brings. */
export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

export function textOf(chunks) {
  return chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
}
