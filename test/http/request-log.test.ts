import Fastify from 'fastify';
import { type Level, pino } from 'pino';
import { afterEach, expect, it, vi } from 'vitest';
import { registerRequestLog } from '../../src/http/plugins/request-log.ts';

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
  registerRequestLog(app, pino({ level }, { write: (line) => lines.push(JSON.parse(line)) }));
  app.get('/good', async () => 'good');
  const ask = async (path: string, times: number) => {
    for (let i = 0; i < times; i++) await app.inject(path);
  };
  return { app, lines, ask };
}

it('writes a line for a failure, without its query, and none for a success', async () => {
  const { lines, ask } = startLogged('info');
  await ask('/good', 1);
  await ask(`/bad${'x'.repeat(300)}?secret`, 1);
  expect(lines).toEqual([
    expect.objectContaining({ msg: 'request', path: `/bad${'x'.repeat(196)}`, statusCode: 404, level: 30 }),
  ]);
});

it('writes 100 lines a second for failures and tells how many more there were', async () => {
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

it('writes every request at debug', async () => {
  const { lines, ask } = startLogged('debug');
  await ask('/good', 150);
  await ask('/bad', 150);
  expect(lines).toHaveLength(300);
});
