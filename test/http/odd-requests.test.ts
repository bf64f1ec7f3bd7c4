/** Requests that HTTP allows and hardly anybody sends: each is answered, none with 5xx, all failures as problem details. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bothWays, startTestApp, type TestApp } from '../support/app.ts';
import { articleRow } from '../support/requests.ts';

describe.each(bothWays)('%s', (_way, options) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({}, options);
  });
  afterAll(() => app.close());

  const row = JSON.stringify(articleRow);

  const message = (line: string, headers: string[] = [], body = '') =>
    `${[`${line} HTTP/1.1`, 'host: x', 'connection: close', ...headers].join('\r\n')}\r\n\r\n${body}`;
  const withBody = (line: string, headers: string[] = ['content-type: application/json'], body = row) =>
    message(line, [...headers, `content-length: ${body.length}`], body);
  const typed = (type: string) => withBody('POST /predict', [`content-type: ${type}`]);

  async function send(request: string): Promise<{ status: number; head: string; body: string }> {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    let received = '';
    socket.on('data', (piece) => {
      received += piece.toString('latin1');
    });
    socket.write(request, 'latin1');
    await once(socket, 'end');
    socket.destroy();
    const [head, body] = received.split('\r\n\r\n');
    return { status: Number(received.slice(9, 12)), head: head!, body: body! };
  }

  async function expectStatus(request: string, status: number): Promise<string> {
    const answer = await send(request);
    expect(answer.status).toBe(status);
    const id = /x-request-id: (.*)/.exec(answer.head)?.[1];
    expect(id).toBeTruthy();
    if (status < 400) return answer.head;
    expect(answer.head).toContain('application/problem+json');
    if (answer.body) expect(JSON.parse(answer.body)).toMatchObject({ status, request_id: id });
    return answer.head;
  }

  describe('an odd method', () => {
    test.each([
      [message('HEAD /health'), 200],
      [message('HEAD /predict'), 405],
      [message('OPTIONS /predict'), 405],
      [message('OPTIONS *'), 404],
      [message('TRACE /predict'), 405],
      [withBody('PROPFIND /livez'), 405],
      [withBody('DELETE /predict', undefined, '{bad'), 405],
      [withBody('GET /health'), 200],
      [withBody('GET /health', undefined, '{bad'), 200],
      [withBody('GET /livez', ['content-type: text/plain'], 'x'), 200],
      [message('get /livez'), 400],
    ])('is answered: %j', async (request, status) => {
      await expectStatus(request, status);
    });
  });

  describe('an odd target', () => {
    test.each([
      [withBody('POST http://x/predict'), 200],
      [withBody('POST /%70redict'), 200],
      [message('GET http://x/predict'), 405],
      [message('GET /%70redict'), 405],
      [withBody('POST //predict'), 404],
      [withBody('POST /predict/'), 404],
      [withBody('POST /predict%2Fbatch'), 404],
      [withBody('POST /PREDICT'), 404],
      [message('GET /livez%00'), 404],
      [message('GET /%E0%A4%A'), 400],
      [message(`GET /${'a'.repeat(8_000)}`), 404],
      [message(`GET /livez?${'a'.repeat(8_000)}`), 200],
      [message(`GET /${'a'.repeat(30_000)}`), 431],
      [message('GET /docs/static/../../package.json'), 400],
    ])('is answered: %.60j', async (request, status) => {
      await expectStatus(request, status);
    });
  });

  describe('odd headers', () => {
    test.each([
      [typed('Application/JSON; Charset=UTF-8'), 200],
      [typed('application/json;charset="utf-8"; x=y'), 200],
      [typed('application/jsonx'), 415],
      [typed('text/csv, application/json'), 415],
      [typed(''), 415],
      [typed('json'), 415],
      [withBody('POST /predict', ['content-type: application/json', 'content-encoding: Identity']), 200],
      [withBody('POST /predict', ['content-type: application/json', 'content-encoding: br']), 415],
      [withBody('POST /predict', []), 415],
      [withBody('POST /predict', undefined, ''), 400],
      [message('POST /predict', ['content-type: application/json']), 400],
      [message('POST /predict'), 422],
      [withBody('POST /predict', ['content-type: application/json', `content-length: ${row.length}`]), 400],
      [withBody('POST /predict', ['content-type: application/json', 'transfer-encoding: chunked']), 400],
      [withBody('POST /predict', ['content-type: application/json', 'transfer-encoding: identity']), 400],
      [message('POST /predict', ['content-type: application/json', 'content-length: -1']), 400],
      [message('POST /predict', ['content-type: application/json', 'content-length: 99999999999999999999']), 400],
      [message('GET /livez', ['upgrade: websocket', 'connection: upgrade']), 200],
      [message('GET /livez', ['host: y']), 400],
      [withBody('POST /predict', ['content-type: application/json', 'host: x']), 400],
      [message('GET /livez').replace('host: x', 'host: a b'), 400],
      [message('GET /livez').replace('host: x', 'host: [::1]:3000'), 200],
      [message('GET /livez').replace('host: x', 'host:'), 200],
      [withBody('POST /predict', ['content-type: application/json', 'content-type: text/plain']), 415],
      [withBody('POST /predict', ['content-type: text/plain', 'content-type: application/json']), 415],
      [message('GET /livez', ['expect: x']), 417],
    ])('are answered: %.200j', async (request, status) => {
      await expectStatus(request, status);
    });

    test('of ids are given back only as plain tokens', async () => {
      for (const ids of [['a', 'b'], [''], ['a\r\n b'], ['a; b'], ['\x80']]) {
        const { head } = await send(
          message(
            'GET /livez',
            ids.map((id) => `x-request-id: ${id}`),
          ),
        );
        expect(/x-request-id: (.*)/.exec(head)?.[1]).toMatch(/^[0-9a-f]{12}-\w+$/);
      }
    });
  });
});
