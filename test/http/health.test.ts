import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { articleRow, post } from '../support/requests.ts';

describe('outside production', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  test('tells in /health what works, the version and the backlog', async () => {
    const response = await fetch(`${app.url}/health`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      status: 'ok',
      database: 'ok',
      model: 'ok',
      prediction_log: 'ok',
      model_version: app.app.served()?.pipelineVersion,
      refused_version: null,
      reasons: [],
      backlog: {
        rows: 0,
        oldest_age_seconds: null,
        bytes: expect.any(Number),
        limit_bytes: app.config.spoolMaxBytes,
        dead_letters: 0,
        last_error: null,
      },
      alarms: [],
    });
  });

  test('answers the probes', async () => {
    expect((await fetch(`${app.url}/livez`)).status).toBe(200);
    expect((await fetch(`${app.url}/readyz`)).status).toBe(200);
  });

  test('documents every route but its own pages, with the example house', async () => {
    expect((await fetch(`${app.url}/docs`)).status).toBe(200);
    const document = (await (await fetch(`${app.url}/docs/json`)).json()) as {
      openapi: string;
      paths: Record<string, Record<string, never>>;
    };
    expect(document.openapi).toMatch(/^3\.1\./);
    expect(Object.keys(document.paths).sort()).toEqual([
      '/ground-truth',
      '/ground-truth/batch',
      '/health',
      '/livez',
      '/metrics',
      '/monitoring/drift',
      '/monitoring/quality',
      '/pipelines',
      '/pipelines/resume',
      '/pipelines/rollback',
      '/pipelines/{version}',
      '/pipelines/{version}/promote',
      '/predict',
      '/predict/batch',
      '/predictions/{id}',
      '/readyz',
    ]);
    expect(JSON.stringify(document.paths['/predict'])).toContain(JSON.stringify(articleRow));
  });
});

describe('in production', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ NODE_ENV: 'production' });
  });
  afterAll(() => app.close());

  test.each([
    '/docs',
    '/docs/',
    '/docs/json',
    '/docs/yaml',
    '/docs/static/index.html',
    '/openapi.json',
    '/documentation',
  ])('answers 404 for %s', async (path) => {
    expect((await fetch(app.url + path)).status).toBe(404);
  });

  test('says in /health what works and nothing else', async () => {
    const response = await fetch(`${app.url}/health`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: 'ok', database: 'ok', model: 'ok', prediction_log: 'ok' });
    expect(await (await fetch(`${app.url}/livez`)).json()).toEqual({ status: 'ok' });
    expect(await (await fetch(`${app.url}/readyz`)).json()).toEqual({ status: 'ok' });
  });

  test('names no version in any answer or header', async () => {
    const version = app.app.served()!.pipelineVersion;
    const responses = await Promise.all([
      fetch(`${app.url}/health`),
      fetch(`${app.url}/readyz`),
      fetch(`${app.url}/nope`),
      post(`${app.url}/predict`, articleRow),
      post(`${app.url}/predict`, {}),
      post(`${app.url}/predict/batch`, { instances: [articleRow] }),
    ]);
    for (const response of responses) {
      const everything = JSON.stringify([...response.headers]) + (await response.text());
      expect(everything).not.toContain('version');
      expect(everything).not.toContain(version);
      expect(everything).not.toMatch(/node_modules|\.ts:|\.js:|fastify|ridgeline\/|server/i);
    }
  });
});

describe('with overrides', () => {
  test('shows docs and versions in production when told to, at the path it is given', async () => {
    const app = await startTestApp({
      NODE_ENV: 'production',
      DOCS_ENABLED: 'true',
      DOCS_PATH: '/reference',
      EXPOSE_MODEL_VERSION: '1',
    });
    expect((await fetch(`${app.url}/reference/json`)).status).toBe(200);
    expect((await fetch(`${app.url}/docs/json`)).status).toBe(404);
    expect(await (await post(`${app.url}/predict`, articleRow)).json()).toHaveProperty('model_version');
    await app.close();
  });

  test('hides docs and versions in development when told to', async () => {
    const app = await startTestApp({ DOCS_ENABLED: 'false', EXPOSE_MODEL_VERSION: 'false' });
    expect((await fetch(`${app.url}/docs`)).status).toBe(404);
    expect(await (await post(`${app.url}/predict`, articleRow)).json()).not.toHaveProperty('model_version');
    await app.close();
  });
});
