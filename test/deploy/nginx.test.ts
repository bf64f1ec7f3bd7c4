/** deploy/nginx/ridgeline.conf, by nginx itself in front of the service. CI installs it; elsewhere these tests may be skipped. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type RequestOptions, request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { makeDirectory } from '../support/directory.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow, type PredictAnswer, type ProblemAnswer } from '../support/requests.ts';

const program = '/usr/sbin/nginx';
const root = join(import.meta.dirname, '../..');
const certificates = join(root, 'test/database/certificates');
const key = 'c0ffee'.repeat(10);

describe.skipIf(!existsSync(program))('deploy/nginx/ridgeline.conf', () => {
  let app: TestApp;
  let directory: string;
  let nginx: ChildProcess;

  beforeAll(async () => {
    app = await startTestApp({ NODE_ENV: 'production', DOCS_ENABLED: 'true' });
    directory = await makeDirectory('nginx');
    writeFileSync(join(directory, 'keys.conf'), `${key} accounting;\n`);
    writeFileSync(join(directory, 'nginx.conf'), configuration());
    nginx = spawn(program, [
      '-c',
      join(directory, 'nginx.conf'),
      '-e',
      join(directory, 'error.log'),
      '-g',
      'daemon off;',
    ]);
    await eventually(async () => existsSync(join(directory, 'socket')));
  });
  afterAll(async () => {
    if (nginx.exitCode === null) {
      nginx.kill('SIGTERM');
      await once(nginx, 'exit');
    }
    await app.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** What is ours in the file; the first of the three replicas is not there. */
  function configuration(): string {
    const mine: [string, string][] = [
      ['10.0.0.11:3000', '127.0.0.1:1'],
      ['10.0.0.12:3000', new URL(app.url).host],
      ['10.0.0.13:3000', new URL(app.url).host],
      ['listen 443 ssl', `listen unix:${directory}/socket ssl`],
      ['/etc/nginx/ridgeline-keys.conf', join(directory, 'keys.conf')],
      ['/etc/nginx/ridgeline.crt', join(certificates, 'good.crt')],
      ['/etc/nginx/ridgeline.key', join(certificates, 'server.key')],
      ['/var/log/nginx', directory],
      ['/run/nginx.pid', join(directory, 'pid')],
      // What was let through beyond the burst would depend on the speed of the machine.
      ['zone=batches:1m rate=20r/s', 'zone=batches:1m rate=1r/m'],
      // For whoever runs the tests without being root.
      ['http {', `http { ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(temporary).join(' ')}`],
    ];
    let file = readFileSync(join(root, 'deploy/nginx/ridgeline.conf'), 'utf8');
    for (const [from, to] of mine) {
      expect(file).toContain(from);
      file = file.replace(from, to);
    }
    return file;
  }

  const temporary = (what: string) => `${what}_temp_path ${join(directory, what)};`;

  async function send(path: string, body?: unknown, headers: Record<string, string> = {}) {
    const options: RequestOptions = {
      ...{ socketPath: join(directory, 'socket'), path, agent: false, rejectUnauthorized: false },
      ...{ method: body === undefined ? 'GET' : 'POST', headers: { 'content-type': 'application/json', ...headers } },
    };
    const sent = request(options).end(body && JSON.stringify(body));
    const [response] = await once(sent, 'response');
    const { statusCode: status, headers: got } = response;
    return { status: status as number, headers: got as Record<string, string>, body: JSON.parse(await text(response)) };
  }

  const known = { 'x-api-key': key };

  test('answers who has a key, under the caller’s request id, though a replica is away', async () => {
    for (let i = 0; i < 10; i++) {
      const { status, headers, body } = await send('/predict', articleRow, { ...known, 'x-request-id': 'mine' });
      expect(status).toBe(200);
      expect(headers['x-request-id']).toBe('mine');
      expect((body as PredictAnswer).prediction_id).toHaveLength(36);
    }
  });

  test('refuses who has none, or another, with the service’s form of a problem', async () => {
    for (const headers of [{}, { 'x-api-key': 'default' }, { 'x-api-key': `${key}0` }]) {
      const { status, headers: got, body } = await send('/predict', articleRow, headers);
      expect(status).toBe(401);
      expect(got['content-type']).toBe('application/problem+json');
      expect((body as ProblemAnswer).request_id).toBe(got['x-request-id']);
    }
  });

  test('takes a whole batch, and leaves what is wrong with one to the service', async () => {
    const instances = Array.from({ length: 1000 }, () => articleRow);
    const { status, body } = await send('/predict/batch', { instances }, known);
    expect(status).toBe(200);
    expect((body as { predictions: number[] }).predictions).toHaveLength(1000);
    const refused = await send('/predict/batch', { instances: [...instances, articleRow] }, known);
    expect(refused.status).toBe(422);
    const large = await send('/predict/batch', { instances: ' '.repeat(1_100_000) }, known);
    expect(large.status).toBe(413);
    expect((large.body as ProblemAnswer).type).toBe('urn:ridgeline:error:body_too_large');
  });

  test('refuses what is too much of a caller with 429', async () => {
    const sent = Array.from({ length: 20 }, () => send('/predict/batch', { instances: [articleRow] }, known));
    const refused = (await Promise.all(sent)).filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    for (const { headers } of refused) expect(headers['retry-after']).toBe('1');
  });

  test('shows nothing else of the service', async () => {
    for (const path of ['/health', '/livez', '/readyz', '/docs/json', '/metrics', '/pipelines', '/predict/', '/']) {
      const { status, body } = await send(path, undefined, known);
      expect(status, path).toBe(404);
      expect((body as ProblemAnswer).type, path).toBe('about:blank');
    }
  });

  test('says so when no replica answers', async () => {
    app.app.http.server.close();
    app.app.http.server.closeAllConnections();
    const { status, headers, body } = await send('/predict', articleRow, known);
    expect([status, headers['retry-after']]).toEqual([503, '1']);
    expect((body as ProblemAnswer).status).toBe(503);
  });
});
