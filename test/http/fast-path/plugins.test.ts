/**
 * Plugins on the predict routes, written as plugins are, by people who know nothing of the fast path: what they put into a
 * reply reaches the caller, and what they wait for loses no byte of a body.
 */

import { Readable, Transform } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { createGunzip, gzipSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp } from '../../support/app.ts';
import { articleAnswer, articleRow, type PredictAnswer, type ProblemAnswer, post } from '../../support/requests.ts';

const MEGABYTE = 1_048_576;

async function startWith(extend: (http: FastifyInstance) => void, settings: Record<string, string> = {}) {
  /** Of each 200, whether Fastify's reply knows the headers that were sent. */
  const plain: boolean[] = [];
  const app = await startTestApp(settings, {
    extend(http) {
      extend(http);
      http.addHook('onResponse', async (_request, reply) => {
        if (reply.statusCode === 200) plain.push(reply.getHeader('content-type') !== undefined);
      });
    },
  });
  onTestFinished(() => app.close());
  const predict = () => post(`${app.url}/predict`, articleRow);
  const predictBatch = (rows = 2) => post(`${app.url}/predict/batch`, { instances: Array(rows).fill(articleRow) });
  return { ...app, plain, predict, predictBatch };
}

async function expectPredictions(one: Response, several: Response, rows = 2): Promise<void> {
  expect([one.status, several.status]).toEqual([200, 200]);
  expect(((await one.json()) as PredictAnswer).prediction).toBeCloseTo(articleAnswer, 9);
  const { predictions } = (await several.json()) as { predictions: number[] };
  expect(predictions).toHaveLength(rows);
  for (const prediction of predictions) expect(prediction).toBeCloseTo(articleAnswer, 9);
}

describe('without a plugin, or with one that only watches', () => {
  test('answers leave the fast way, beside the documentation too', async () => {
    const { plain, predict, predictBatch } = await startWith(() => undefined);
    await expectPredictions(await predict(), await predictBatch());
    expect(plain).toEqual([false, false]);
  });

  test('one in another scope changes nothing', async () => {
    const { plain, predict } = await startWith((http) => {
      http.register((scope, _options, done) => {
        scope.addHook('onSend', async (_request, reply) => void reply.header('x-other', '1'));
        scope.get('/other', async () => ({}));
        done();
      });
    });
    expect((await predict()).headers.get('x-other')).toBeNull();
    expect(plain).toEqual([false]);
  });

  test('the hook of one runs once for each answer', async () => {
    const routes: (string | undefined)[] = [];
    const { predict, predictBatch, url } = await startWith((http) => {
      http.addHook('onResponse', async (request) => void routes.push(request.routeOptions.url));
    });
    for (const send of [predict, predictBatch, () => post(`${url}/predict`, {})]) await (await send()).arrayBuffer();
    await expect.poll(() => routes).toEqual(['/predict', '/predict/batch', '/predict']);
  });
});

describe('a plugin that has a say in replies', () => {
  test.each<[string, (http: FastifyInstance) => void]>([
    [
      'onRequest, as for CORS',
      (http) =>
        http.addHook('onRequest', (_request, reply, done) => {
          reply.header('x-added', 'yes');
          done();
        }),
    ],
    [
      'onRequest, on the response of Node, as for security headers',
      (http) =>
        http.addHook('onRequest', (_request, reply, done) => {
          reply.raw.setHeader('x-added', 'yes');
          done();
        }),
    ],
    [
      'onRequest, after it has waited, as for a rate limit',
      (http) =>
        http.addHook('onRequest', async (_request, reply) => {
          await delay(5);
          reply.header('x-added', 'yes');
        }),
    ],
    [
      'preHandler',
      (http) => http.addHook('preHandler', async (_request, reply) => void reply.header('x-added', 'yes')),
    ],
    [
      'onSend, after it has waited',
      (http) =>
        http.addHook('onSend', async (_request, reply) => {
          await delay(5);
          reply.header('x-added', 'yes');
        }),
    ],
    [
      'preSerialization',
      (http) =>
        http.addHook('preSerialization', async (_request, reply, payload) => {
          reply.header('x-added', 'yes');
          return payload;
        }),
    ],
  ])('adds a header in %s to every answer', async (_name, plugin) => {
    const { predict, predictBatch, plain } = await startWith(plugin);
    const [one, several] = [await predict(), await predictBatch()];
    expect([one, several].map(({ headers }) => headers.get('x-added'))).toEqual(['yes', 'yes']);
    expect(one.headers.get('x-request-id')).toBeTruthy();
    await expectPredictions(one, several);
    expect(plain).toEqual([true, true]);
  });

  test('changes the payload', async () => {
    const { predict } = await startWith((http) => {
      http.addHook('preSerialization', async (_request, _reply, payload) => ({ ...(payload as object), mark: 1 }));
      http.addHook('onSend', async (_request, _reply, payload) => String(payload).replace('"mark":1', '"mark":2'));
    });
    expect(await (await predict()).json()).toMatchObject({ prediction: expect.closeTo(articleAnswer, 9), mark: 2 });
  });

  test('answers itself', async () => {
    const { predict, predictBatch } = await startWith((http) => {
      http.addHook('onRequest', async (_request, reply) => reply.code(429).send({ slow: 'down' }));
    });
    for (const send of [predict, predictBatch]) expect((await send()).status).toBe(429);
  });

  test('fails after the prediction, which is told as an unexpected error', async () => {
    const { predict } = await startWith((http) => {
      http.addHook('onSend', async (_request, reply) => {
        if (reply.statusCode === 200) throw new Error('a mistake');
      });
    });
    const response = await predict();
    expect([response.status, ((await response.json()) as { type: string }).type]).toEqual([
      500,
      'urn:ridgeline:error:internal',
    ]);
  });
});

describe('a plugin that waits before the body is read', () => {
  test.each(['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const)(
    'in %s loses no byte of bodies small and large, in one packet or in many',
    async (hook) => {
      const { predict, url } = await startWith(
        (http) => http.addHook(hook as 'onRequest', async () => void (await delay(10))),
        { MAX_BATCH_ROWS: '10000', BODY_LIMIT_BYTES: String(2 * MEGABYTE) },
      );
      const rows = 1000;
      // Each batch has values of its own: a buffer of the pool that is read too late holds those of another.
      const batches = Array.from({ length: 8 }, async (_, number) => {
        const instances = Array(rows).fill({ ...articleRow, RM: 5 + number / 10 });
        const response = await post(`${url}/predict/batch`, { instances });
        const { predictions } = (await response.json()) as { predictions: number[] };
        expect(predictions).toHaveLength(rows);
        expect(new Set(predictions.map((one) => one.toFixed(9))).size).toBe(1);
        return predictions[0]!;
      });
      const answers = await Promise.all(batches);
      for (const [number, answer] of answers.entries()) {
        if (number > 0) expect(answer).toBeGreaterThan(answers[number - 1]!);
      }
      const chunked = await fetch(`${url}/predict`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: Readable.toWeb(slowly(JSON.stringify(articleRow))) as ReadableStream,
        duplex: 'half',
      } as RequestInit);
      expect(chunked.status).toBe(200);
      expect((await predict()).status).toBe(200);
      // Larger than what may be sent.
      expect((await post(`${url}/predict`, ' '.repeat(2 * MEGABYTE + 1))).status).toBe(413);
    },
  );

  test('and puts another stream in the place of the body: the limit is that of what comes out of it', async () => {
    const { url } = await startWith((http) => {
      http.addHook('preParsing', async (request, _reply, payload) => {
        delete request.headers['content-encoding'];
        return payload.pipe(createGunzip());
      });
    });
    const send = (text: string) =>
      fetch(`${url}/predict`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
        body: gzipSync(text),
      });
    const response = await send(JSON.stringify(articleRow));
    expect(((await response.json()) as PredictAnswer).prediction).toBeCloseTo(articleAnswer, 9);
    expect((await send(' '.repeat(10 * MEGABYTE))).status).toBe(413);
    const broken = await post(`${url}/predict`, 'not compressed', { 'content-encoding': 'gzip' });
    expect([broken.status, ((await broken.json()) as ProblemAnswer).type]).toEqual([
      400,
      'urn:ridgeline:error:invalid_request',
    ]);
  });
});

function slowly(text: string): Readable {
  const pieces = text.match(/.{1,40}/g)!;
  const pauses = new Transform({ transform: (piece, _encoding, done) => void setTimeout(done, 5, null, piece) });
  return Readable.from(pieces).pipe(pauses);
}
