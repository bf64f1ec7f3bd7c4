import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bothWays, startTestApp, type TestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow, type ProblemAnswer, post } from '../support/requests.ts';

describe.each(bothWays)('%s', (_way, options) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({}, options);
  });
  afterAll(() => app.close());

  async function expectProblem(response: Response, status: number, code: string): Promise<ProblemAnswer> {
    const problem = (await response.json()) as ProblemAnswer;
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(problem).toMatchObject({
      type: `urn:ridgeline:error:${code}`,
      title: expect.any(String),
      status,
      detail: expect.any(String),
      request_id: response.headers.get('x-request-id'),
    });
    return problem;
  }

  /** Sends raw bytes and returns everything that comes back until the connection ends. */
  async function sendRaw(bytes: string): Promise<string> {
    const { port } = new URL(app.url);
    const socket = connect(Number(port), '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.write(bytes, 'latin1');
    await once(socket, 'close');
    return answer;
  }

  describe('errors are problem details', () => {
    test.each(['{bad', '', '{"a":1', `${JSON.stringify(articleRow)}x`])(
      'answers 400 for unreadable JSON: %s',
      async (body) => {
        await expectProblem(await post(`${app.url}/predict`, body), 400, 'invalid_json');
      },
    );

    test.each([
      ['another type', { 'content-type': 'text/plain' }],
      ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
      ['another charset', { 'content-type': 'application/json; charset=utf-16' }],
      ['a compressed body', { 'content-encoding': 'gzip' }],
    ])('answers 415 for %s', async (_name, headers) => {
      await expectProblem(await post(`${app.url}/predict`, articleRow, headers), 415, 'unsupported_media_type');
    });

    test('takes a charset of utf-8 in any spelling', async () => {
      for (const type of ['application/json; charset=utf-8', 'application/json;charset="UTF-8"']) {
        expect((await post(`${app.url}/predict`, articleRow, { 'content-type': type })).status).toBe(200);
      }
    });

    test('answers 413 above the body limit and names it', async () => {
      const response = await post(`${app.url}/predict`, ' '.repeat(app.config.bodyLimitBytes + 1));
      expect((await expectProblem(response, 413, 'body_too_large')).detail).toContain(
        String(app.config.bodyLimitBytes),
      );
    });

    test('answers 404 for an unknown path and 405 with Allow for an unknown method', async () => {
      await expectProblem(await fetch(`${app.url}/nope`), 404, 'not_found');
      const wrong = await fetch(`${app.url}/predict?x=1`);
      await expectProblem(wrong, 405, 'method_not_allowed');
      expect(wrong.headers.get('allow')).toBe('POST');
      expect((await fetch(`${app.url}/health`, { method: 'DELETE' })).headers.get('allow')).toBe('GET, HEAD');
    });

    test('answers 405 whatever body comes with the wrong method', async () => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${app.url}/health`, { method: 'DELETE', headers, body: '{bad' });
      await expectProblem(response, 405, 'method_not_allowed');
    });

    test('answers a malformed URL with 400', async () => {
      await expectProblem(await fetch(`${app.url}/%ff%zz`), 400, 'invalid_request');
    });

    test('answers what is not HTTP with 400 and closes', async () => {
      const answer = await sendRaw('GARBAGE\r\n\r\n');
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toContain('application/problem+json');
    });

    test('answers a prediction before the garbage behind it in one packet, and stores it', async () => {
      const body = JSON.stringify(articleRow);
      const head = `POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
      const answer = await sendRaw(`${head}${body}GARBAGE\r\n\r\n`);
      expect([...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status)).toEqual(['200', '400']);
      const id = /"prediction_id":"([^"]+)"/.exec(answer)?.[1];
      await eventually(async () => {
        const rows = await app.database.query('select id from predictions where id = $1', [id]);
        return rows.length === 1;
      });
    });

    test('answers oversized headers with 431 and closes', async () => {
      const answer = await sendRaw(`GET /health HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    });
  });

  describe('x-request-id', () => {
    test('is made when absent, and differs from request to request', async () => {
      const ids = await Promise.all(
        [1, 2].map(async () => (await fetch(`${app.url}/livez`)).headers.get('x-request-id')),
      );
      expect(ids[0]).toBeTruthy();
      expect(ids[0]).not.toBe(ids[1]);
    });

    test('is taken from the caller when it is a plain token, else replaced', async () => {
      const send = async (id: string) =>
        (await fetch(`${app.url}/livez`, { headers: { 'x-request-id': id } })).headers.get('x-request-id');
      expect(await send('caller.id:1-2_3')).toBe('caller.id:1-2_3');
      for (const bad of ['a b', 'a"b', 'x'.repeat(129)]) expect(await send(bad)).not.toBe(bad);
    });
  });
});
