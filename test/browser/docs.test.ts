/** The documentation page as a developer uses it: opened in a browser, a route unfolded, tried out. */
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { exampleRow } from '../../src/contract/rows.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { loadWines, wines } from '../support/declaration.ts';
import { startPrefixProxy } from '../support/prefix-proxy.ts';

/** A name that is not this machine's own, as a colleague's browser knows the service by. Browsers trust only localhost. */
const HOST = 'ridgeline.test';

let app: TestApp;
let origin: string;
let browser: Browser;
let page: Page;
/** What the browser complains about, and whom it asks besides the service. */
let complaints: string[];

beforeAll(async () => {
  app = await startTestApp();
  origin = app.url.replace('127.0.0.1', HOST);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Chromium refuses its sandbox to root; the other options keep it from asking its maker's servers.
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      `--host-resolver-rules=MAP ${HOST} 127.0.0.1`,
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});
afterAll(async () => {
  await browser?.close();
  await app?.close();
});

beforeEach(async () => {
  complaints = [];
  page = await browser.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(origin)) complaints.push(request.url());
  });
  await page.goto(`${origin}/docs`);
  await page.getByText('/predict/batch').waitFor();
});

async function tryOut(path: string, body?: string): Promise<{ status: string; answer: string }> {
  const route = page.locator('.opblock', { has: page.locator(`[data-path="${path}"]`) });
  await route.locator('.opblock-summary-control').click();
  await route.getByRole('button', { name: 'Try it out' }).click();
  if (body !== undefined) await route.locator('textarea').fill(body);
  await route.getByRole('button', { name: 'Execute' }).click();
  const live = route.locator('.live-responses-table');
  return {
    status: (await live.locator('tr.response td.response-col_status').first().innerText()).trim(),
    answer: await live.locator('tr.response pre').first().innerText(),
  };
}

test('lists the routes, without a complaint of the browser or a request to anybody else', async () => {
  const paths = await page.locator('.opblock-summary-path').evaluateAll((all) => all.map((path) => path.textContent));
  const document = (await (await fetch(`${app.url}/docs/json`)).json()) as { paths: Record<string, object> };
  const routes = Object.entries(document.paths).flatMap(([path, methods]) => Object.keys(methods).map(() => path));
  expect(paths.sort()).toEqual(routes.sort());
  expect(paths).toContain('/predict');
  expect(complaints).toEqual([]);
});

test('predicts the example house, and the prediction is stored', async () => {
  const { status, answer } = await tryOut('/predict');
  expect(status).toBe('200');
  const { prediction, prediction_id } = JSON.parse(answer) as { prediction: number; prediction_id: string };
  expect(complaints).toEqual([]);
  await expect
    .poll(() => app.database.query('select prediction from predictions where id = $1', [prediction_id]))
    .toEqual([{ prediction }]);
});

test('shows what is wrong with a body', async () => {
  const { status, answer } = await tryOut('/predict', '{"CRIM": "much"}');
  expect(status).toMatch(/^422/);
  expect(answer).toContain('/CRIM');
});

test('works behind a proxy that takes a prefix off', async () => {
  const proxy = await startPrefixProxy(app.url, '/team/ridgeline');
  const before = origin;
  origin = proxy.url.replace('127.0.0.1', HOST);
  await page.goto(`${origin}/docs`);
  await page.getByText('/predict/batch').waitFor();
  expect((await tryOut('/predict')).status).toBe('200');
  expect(complaints).toEqual([]);
  origin = before;
  await page.close();
  await proxy.close();
});

test('follows a swap to a pipeline that takes other rows: the page that is opened then sends those', async () => {
  const first = app.app.served()!.pipelineVersion;
  await app.publish(trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 }));
  await page.reload();
  const { status, answer } = await tryOut('/predict');
  expect(status).toBe('200');
  expect(await page.locator('.opblock-body textarea').inputValue()).toBe(JSON.stringify(exampleRow(wines), null, 2));
  expect(JSON.parse(answer)).toMatchObject({ model_version: app.app.served()!.pipelineVersion });
  expect(complaints).toEqual([]);
  await app.database.query(
    `insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, 'test', 'roll back')`,
    [first],
  );
  await app.database.query('notify ridgeline_promotion');
  await expect.poll(() => app.app.served()!.pipelineVersion).toBe(first);
});
