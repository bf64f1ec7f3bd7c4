import Fastify from 'fastify';
import { type Level, pino } from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { registerProblemDetails } from '../../src/http/plugins/problem-details.ts';
import { createRequestLog } from '../../src/http/plugins/request-log.ts';
import { createHttp } from '../../src/http/server.ts';
import { bothWays, startTestApp } from '../support/app.ts';
import { articleRow, post } from '../support/requests.ts';

afterEach(() => {
  vi.useRealTimers();
});

interface Line {
  level: number;
  msg: string;
  path?: string;
  statusCode?: number;
  unlogged?: number;
}

function startLogged(level: Level) {
  const lines: Line[] = [];
  const app = Fastify({ logger: false });
  registerProblemDetails(app);
  createRequestLog(pino({ level }, { write: (line) => lines.push(JSON.parse(line)) })).register(app);
  app.get('/good', async () => 'good');
  const ask = async (path: string, times: number) => {
    for (let i = 0; i < times; i++) await app.inject(path);
  };
  return { app, lines, ask };
}

test('writes a line for a failure, without its query, and none for a success', async () => {
  const { lines, ask } = startLogged('info');
  await ask('/good', 1);
  await ask(`/bad${'x'.repeat(300)}?secret`, 1);
  expect(lines).toEqual([
    expect.objectContaining({ msg: 'request', path: `/bad${'x'.repeat(196)}`, statusCode: 404, level: 30 }),
  ]);
});

test('writes 100 lines a second for failures and tells how many more there were', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { app, lines, ask } = startLogged('info');
  await ask('/bad', 250);
  expect(lines).toHaveLength(100);
  vi.advanceTimersByTime(1000);
  expect(lines.slice(100)).toEqual([expect.objectContaining({ level: 40, unlogged: 150 })]);

  await ask('/bad', 100);
  vi.advanceTimersByTime(1000);
  expect(lines.slice(101).every(({ msg }) => msg === 'request')).toBe(true);

  await ask('/bad', 101);
  await app.close();
  expect(lines.at(-1)).toMatchObject({ unlogged: 1 });
});

test('writes every request at debug', async () => {
  const { lines, ask } = startLogged('debug');
  await ask('/good', 150);
  await ask('/bad', 150);
  expect(lines).toHaveLength(300);
});

test('says of a failure what an operator asks: code, first field, rows, duration; and is louder the graver it is', async () => {
  const { app, lines, ask } = startLogged('info');
  const errors = [{ pointer: '/RM', code: 'missing', message: 'Send it.' }];
  const cause = new Error('a mistake of ours');
  const thrown: Record<string, Error> = {
    caller: new RidgelineError('invalid_features', { errors, rows: 3 }),
    overload: new RidgelineError('overloaded'),
    stored: new RidgelineError('prediction_not_stored'),
    mistake: cause,
  };
  for (const name of Object.keys(thrown)) app.get(`/${name}`, () => Promise.reject(thrown[name]!));
  for (const name of Object.keys(thrown)) await ask(`/${name}`, 1);
  expect(lines).toEqual([
    expect.objectContaining({ level: 30, statusCode: 422, code: 'invalid_features', pointer: '/RM', rows: 3 }),
    expect.objectContaining({ level: 40, statusCode: 503, code: 'overloaded' }),
    expect.objectContaining({ level: 50, statusCode: 503, code: 'prediction_not_stored' }),
    expect.objectContaining({ level: 50, code: 'internal', err: expect.objectContaining({ message: cause.message }) }),
  ]);
});

test('measures how long a request has taken, a success too', async () => {
  const lines: Record<string, unknown>[] = [];
  const http = createHttp({
    bodyLimitBytes: 1000,
    log: pino({ level: 'debug' }, { write: (line) => lines.push(JSON.parse(line)) }),
  });
  http.get('/slow', () => new Promise((resolve) => setTimeout(resolve, 50, {})));
  const url = await http.listen({ port: 0, host: '127.0.0.1' });
  await fetch(`${url}/slow`);
  await fetch(`${url}/%zz`);
  await http.close();
  const durations = lines.map(({ durationMs }) => durationMs as number);
  expect(lines).toMatchObject([
    { path: '/slow', statusCode: 200 },
    { path: '/%zz', statusCode: 400, code: 'invalid_request' },
  ]);
  expect(durations[0]).toBeGreaterThan(40);
  expect(durations[1]).toBeGreaterThanOrEqual(0);
});

describe.each(bothWays)('%s', (_way, options) => {
  test.each<[Level, number[]]>([
    ['debug', [200, 200, 422, 422]],
    ['info', [422, 422]],
  ])('at %s, each request to the predict routes has its one line: %j', async (level, statuses) => {
    const lines: Record<string, unknown>[] = [];
    const log = pino({ level }, { write: (line) => lines.push(JSON.parse(line)) });
    const app = await startTestApp({}, { ...options, log });
    await post(`${app.url}/predict`, articleRow);
    await post(`${app.url}/predict/batch`, { instances: [articleRow] });
    await post(`${app.url}/predict/batch`, { instances: [articleRow, { ...articleRow, RM: 'secret' }] });
    await post(`${app.url}/predict?color=secret`, articleRow);
    await app.close();
    const requests = lines.filter(({ msg }) => msg === 'request');
    expect(requests.map(({ statusCode }) => statusCode)).toEqual(statuses);
    for (const { requestId, durationMs } of requests)
      expect([typeof requestId, typeof durationMs]).toEqual(['string', 'number']);
    expect(requests.slice(-2)).toMatchObject([
      { path: '/predict/batch', code: 'invalid_features', pointer: '/instances/1/RM', rows: 2 },
      { path: '/predict', code: 'invalid_parameters', parameter: 'color' },
    ]);
    expect(JSON.stringify(requests)).not.toContain('secret');
  });
});
