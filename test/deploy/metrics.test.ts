/** What deploy/ and docs/operations.md say of metrics, against those of a running server. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { makeDirectory } from '../support/directory.ts';
import { scrape } from '../support/metrics.ts';

const root = join(import.meta.dirname, '../..');
const withPromtool = test.runIf(existsSync('/usr/bin/promtool'));
const promtool = (...command: string[]) => execFileSync('promtool', command, { cwd: root, encoding: 'utf8' });
const read = (path: string) => readFileSync(join(root, path), 'utf8');

let app: TestApp;
/** The names of all metrics that the server has. */
let served: string[];
beforeAll(async () => {
  app = await startTestApp();
  served = [...(await scrape(app.url)).types.keys()];
});
afterAll(() => app.close());

/** The metrics that a text names; the series of a histogram under its own name. */
function namesIn(text: string): string[] {
  const names = text.match(/\b(?:ridgeline|process|nodejs)_[a-z0-9_]+/g) ?? [];
  return [...new Set(names.map((name) => name.replace(/_seconds_(?:bucket|sum|count)$/, '_seconds')))];
}

describe('deploy/prometheus/alerts.yml', () => {
  const alerts = read('deploy/prometheus/alerts.yml');

  test('names metrics that the server has', () => {
    const names = namesIn(alerts);
    expect(names.length).toBeGreaterThan(8);
    expect(names.filter((name) => !served.includes(name))).toEqual([]);
  });

  withPromtool('is taken by promtool, and alerts when it should', () => {
    const rules = alerts.match(/- alert:/g)!.length;
    expect(promtool('check', 'rules', 'deploy/prometheus/alerts.yml')).toContain(`SUCCESS: ${rules} rules found`);
    expect(promtool('test', 'rules', 'test/deploy/alerts.yml')).toContain('SUCCESS');
    const tested = new Set(read('test/deploy/alerts.yml').match(/alertname="\w+"/g));
    expect(tested.size).toBe(rules);
  });
});

describe('deploy/grafana/ridgeline.json', () => {
  interface Panel {
    title: string;
    targets: { expr: string }[];
  }
  const { panels } = JSON.parse(read('deploy/grafana/ridgeline.json')) as { panels: Panel[] };

  test('asks for metrics that the server has, in every panel', () => {
    for (const { title, targets } of panels) {
      const names = targets.flatMap(({ expr }) => namesIn(expr));
      expect(names.length, title).toBeGreaterThan(0);
      expect(
        names.filter((name) => !served.includes(name)),
        title,
      ).toEqual([]);
    }
  });

  withPromtool('asks in PromQL', async () => {
    const exprs = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '5m')));
    const rules = exprs.map((expr, i) => ({ record: `panel:${i}`, expr }));
    const directory = await makeDirectory('dashboard');
    // JSON is YAML.
    await writeFile(join(directory, 'rules.yml'), JSON.stringify({ groups: [{ name: 'panels', rules }] }));
    expect(promtool('check', 'rules', join(directory, 'rules.yml'))).toContain(`SUCCESS: ${exprs.length} rules found`);
    await rm(directory, { recursive: true });
  });
});

describe('docs/operations.md', () => {
  test('says of every metric of the server, and of no other, what it means', () => {
    const section = /## Metrics\n([\s\S]*?)(?=\n## |$(?![\s\S]))/.exec(read('docs/operations.md'))![1]!;
    const rows = [...section.matchAll(/^\| (`.*?`) \| (.+) \|/gm)];
    const named = rows.flatMap(([, metrics]) =>
      [...metrics!.matchAll(/`(\w+)(?:\{[\w,]+\})?`/g)].map(([, name]) => name!),
    );
    expect(named.sort()).toEqual([...served].sort());
  });

  test('names the labels that they have', async () => {
    const { samples } = await scrape(app.url);
    const text = read('docs/operations.md');
    for (const series of samples.keys()) {
      const [, name, labels] = /^(\w+?)(?:_bucket)?\{(.*)\}$/.exec(series) ?? [];
      if (!name) continue;
      const names = [...labels!.matchAll(/(\w+)="/g)].map(([, label]) => label!).filter((label) => label !== 'le');
      if (names.length > 0 && !/_(sum|count)$/.test(name)) expect(text).toContain(`\`${name}{${names.join(',')}}\``);
    }
  });
});
