/** The page at /, as people see it: on a screen and on a phone, with nothing for the browser to complain of. */
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';

let app: TestApp;
let browser: Browser;

beforeAll(async () => {
  app = await startTestApp({ ADMIN_PORT: '0' });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Chromium refuses its sandbox to root.
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--no-first-run', '--disable-background-networking'],
  });
});
afterAll(async () => {
  await browser?.close();
  await app?.close();
});

test.each([
  ['the public port', 1280, () => app.url],
  ['the public port on a phone', 320, () => app.url],
  ['the admin port on a phone', 320, () => app.adminUrl!],
] as const)('of %s fits, and every link of it leads somewhere', async (_name, width, urlOf) => {
  const page = await browser.newPage({ viewport: { width, height: 640 } });
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('request', (request) => {
    if (!request.url().startsWith('data:') && request.url() !== `${urlOf()}/`) complaints.push(request.url());
  });
  await page.goto(urlOf());
  expect(await page.title()).toMatch(/^Ridgeline/);
  expect(complaints).toEqual([]);
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
  // The style is taken: its rule for the body holds.
  expect(await page.evaluate('getComputedStyle(document.querySelector("dl")).display')).toBe('grid');
  const links = await page.locator('a').evaluateAll((all) => all.map((one) => String(one.getAttribute('href'))));
  expect(links.length).toBeGreaterThanOrEqual(2);
  for (const link of links) expect((await fetch(new URL(link, page.url()))).status, link).toBe(200);
  await page.close();
});
