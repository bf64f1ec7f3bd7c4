/** What a route is that declares a body and a query with zod and nothing else, in a scope beside the predict routes. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { startTestApp, type TestApp } from '../support/app.ts';
import { articleRow, type ProblemAnswer, post } from '../support/requests.ts';

const body = z.strictObject({
  reason: z.string().min(1).max(20),
  at: z.iso.datetime().optional(),
  marks: z.array(z.strictObject({ kind: z.enum(['old', 'new']), weight: z.number() })).max(2),
});
const query = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  order: z.string().optional(),
});

function registerNotes(http: FastifyInstance): void {
  http.register((scope, _options, done) => {
    scope.post<{ Body: z.infer<typeof body>; Querystring: z.infer<typeof query> }>('/notes', {
      schema: { body, querystring: query, response: { 200: z.object({ reason: z.string(), limit: z.int() }) } },
      handler: async (request) => ({ reason: request.body.reason, limit: request.query.limit, secret: 'not declared' }),
    });
    done();
  });
}

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({}, { extend: registerNotes });
});
afterAll(() => app.close());

const note = { reason: 'a test', marks: [{ kind: 'old', weight: 0.5 }] };

async function send(what: unknown, search = ''): Promise<{ status: number; answer: ProblemAnswer }> {
  const response = await post(`${app.url}/notes${search}`, what);
  return { status: response.status, answer: (await response.json()) as ProblemAnswer };
}

describe('an ordinary route', () => {
  test('gets a body and a query that its schemas have read, and answers what its schema has', async () => {
    expect(await send(note)).toEqual({ status: 200, answer: { reason: 'a test', limit: 50 } });
    expect((await send(note, '?limit=7')).answer).toEqual({ reason: 'a test', limit: 7 });
  });

  test('refuses a body with pointers, and repeats nothing of it', async () => {
    const { status, answer } = await send({
      reason: '',
      at: 'secret',
      marks: [{ kind: 'secret', weight: 'secret', 'a/b': 1 }, 7],
      'secret key!': 1,
    });
    expect(status).toBe(422);
    expect(answer.type).toBe('urn:ridgeline:error:invalid_body');
    expect(answer.errors?.map(({ pointer, code, message }) => [pointer, code, message])).toEqual([
      ['/reason', 'out_of_range', 'Send at least 1 character.'],
      ['/at', 'invalid', 'This value is not valid.'],
      ['/marks/0/kind', 'invalid', 'Send "old" or "new".'],
      ['/marks/0/weight', 'invalid_type', 'Send a number.'],
      ['/marks/0', 'unknown_field', expect.any(String)],
      ['/marks/1', 'invalid_type', 'Send a JSON object.'],
      ['', 'unknown_field', expect.any(String)],
    ]);
    expect(JSON.stringify(answer)).not.toContain('secret');
  });

  test('tells what is missing, wherever it is, and that there is no body', async () => {
    expect((await send({ reason: 'x', marks: [{ kind: 'old' }] })).answer.errors).toEqual([
      { pointer: '/marks/0/weight', code: 'missing', message: 'This field is required: send a number.' },
    ]);
    const response = await fetch(`${app.url}/notes`, { method: 'POST' });
    expect(response.status).toBe(422);
    expect(((await response.json()) as ProblemAnswer).errors).toEqual([
      { pointer: '', code: 'invalid_type', message: 'Send a JSON object.' },
    ]);
  });

  test('refuses a query with the parameters, at most 20 of them, and repeats no odd name', async () => {
    const { status, answer } = await send(note, '?limit=0&order=a&order=b&color=1&%3Csecret%3E=1');
    expect(status).toBe(422);
    expect(answer.type).toBe('urn:ridgeline:error:invalid_parameters');
    expect(answer.errors?.map(({ parameter, code }) => [parameter, code])).toEqual([
      ['limit', 'out_of_range'],
      ['order', 'repeated_parameter'],
      ['color', 'unknown_parameter'],
      ['', 'unknown_parameter'],
    ]);
    expect(JSON.stringify(answer)).not.toContain('secret');
    const many = await send(note, `?${Array.from({ length: 30 }, (_, i) => `p${i}=1`).join('&')}`);
    expect(many.answer.errors).toHaveLength(20);
    expect(many.answer.errors_truncated).toBe(true);
  });

  test.each([
    [
      'where it ceases to be JSON',
      '{"reason": "a", "marks": [{"weight": NaN}]}',
      400,
      'invalid_json',
      '/marks/0/weight',
    ],
    ['without the names that it has not declared', '{"secret": NaN}', 400, 'invalid_json', ''],
    ['that it is empty', '', 400, 'invalid_json', ''],
    ['that a field is there twice', '{"reason": "a", "reason": "b"}', 422, 'invalid_body', '/reason'],
  ])('is told of a body %s', async (_name, text, status, code, pointer) => {
    const sent = await send(text);
    expect(sent.status).toBe(status);
    expect(sent.answer.type).toBe(`urn:ridgeline:error:${code}`);
    expect(sent.answer.errors?.[0]?.pointer).toBe(pointer);
    expect(JSON.stringify(sent.answer)).not.toContain('secret');
  });

  test('reads a byte order mark over, and refuses other types, encodings and sizes as every route does', async () => {
    expect((await send(`\uFEFF${JSON.stringify(note)}`)).status).toBe(200);
    const statusOf = async (headers: Record<string, string>, text = JSON.stringify(note)) =>
      (await post(`${app.url}/notes`, text, headers)).status;
    expect(await statusOf({ 'content-type': 'text/plain' })).toBe(415);
    expect(await statusOf({ 'content-type': 'application/json; charset=latin1' })).toBe(415);
    expect(await statusOf({ 'content-encoding': 'gzip' })).toBe(415);
    const large = await send(' '.repeat(app.config.bodyLimitBytes + 1));
    expect([large.status, large.answer.type]).toEqual([413, 'urn:ridgeline:error:body_too_large']);
    expect(large.answer.detail).toContain(String(app.config.bodyLimitBytes));
  });

  test('looks for the names of its schema once, however often a body has one field', { timeout: 3_000 }, async () => {
    const fields = '"reason":1,'.repeat(Math.floor(app.config.bodyLimitBytes / 11) - 1);
    const { status, answer } = await send(`{${fields}"reason":1}`);
    expect([status, answer.errors?.length, answer.errors_truncated]).toEqual([422, 20, true]);
  });

  test('is asked to go on by a caller that expects 100-continue', async () => {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    const text = JSON.stringify(note);
    socket.write(
      `POST /notes HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: ${text.length}\r\n\r\n`,
    );
    expect(String((await once(socket, 'data'))[0])).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    socket.write(text);
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
    socket.destroy();
  });

  test('does not change what the predict routes beside it take', async () => {
    expect((await post(`${app.url}/predict`, articleRow)).status).toBe(200);
  });
});
