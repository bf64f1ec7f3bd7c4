/** The links of the documentation, followed through a proxy that takes a prefix off, as those in front of many services do. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { startPrefixProxy } from '../support/prefix-proxy.ts';

let app: TestApp;
let proxied: string;
let closeProxy: () => Promise<void>;

beforeAll(async () => {
  app = await startTestApp({ DOCS_PATH: '/internal/docs' });
  ({ url: proxied, close: closeProxy } = await startPrefixProxy(app.url, '/team/ridgeline'));
});
afterAll(async () => {
  await closeProxy();
  await app.close();
});

test.each(['', '/', '/?a=b', '?a=b', '/static/index.html'])('the page opens at its path and %j', async (end) => {
  const page = await fetch(`${proxied}/internal/docs${end}`);
  expect(page.status).toBe(200);
  expect(page.url.split('?', 1)[0]).toBe(`${proxied}/internal/docs/`);
  const links = [...(await page.text()).matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link]) => link!);
  expect(links.length).toBeGreaterThan(4);
  for (const link of links) expect((await fetch(new URL(link, page.url))).status, link).toBe(200);
});

test('the document leads to the routes from where it is', async () => {
  const response = await fetch(`${proxied}/internal/docs/json`);
  const { servers, paths } = (await response.json()) as { servers: { url: string }[]; paths: object };
  expect(Object.keys(paths)).toContain('/livez');
  const root = new URL(servers[0]!.url, response.url).href;
  expect(root).toBe(`${proxied}/`);
  expect((await fetch(new URL('livez', root))).status).toBe(200);
});

test('the example of 413 has the limit that is enforced', async () => {
  const { paths } = (await (await fetch(`${app.url}/internal/docs/json`)).json()) as { paths: object };
  expect(JSON.stringify(paths)).toContain(`Send at most ${app.config.bodyLimitBytes} bytes`);
});
