import Fastify, { type FastifyInstance } from 'fastify';
import { expect, test } from 'vitest';
import { hasForeignHooks, ownHook } from '../../../src/http/fast-path/own-hooks.ts';

async function onReady(prepare: (http: FastifyInstance) => void): Promise<FastifyInstance> {
  const http = Fastify();
  prepare(http);
  await http.ready();
  return http;
}

test('a scope without hooks, with ours and with those that only watch has no foreign ones', async () => {
  expect(hasForeignHooks(await onReady(() => undefined), [{}])).toBe(false);
  const watched = await onReady((http) => {
    http.addHook(
      'onSend',
      ownHook(async () => undefined),
    );
    http.addHook('onResponse', async () => undefined);
    http.addHook('onError', async () => undefined);
  });
  expect(hasForeignHooks(watched, [{ onRequest: ownHook(() => undefined) }])).toBe(false);
});

test('a hook of somebody else is found on the scope and on a route, alone and in a list beside ours', async () => {
  expect(hasForeignHooks(await onReady((http) => http.addHook('onSend', async () => undefined)), [])).toBe(true);
  const scope = await onReady(() => undefined);
  for (const preHandler of [() => undefined, [ownHook(() => undefined), () => undefined]]) {
    expect(hasForeignHooks(scope, [{}, { preHandler }])).toBe(true);
  }
});

test('where Fastify keeps its hooks elsewhere, every scope is taken to have foreign ones', () => {
  expect(hasForeignHooks({} as FastifyInstance, [])).toBe(true);
});
