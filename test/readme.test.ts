import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settingNames } from '../src/config.ts';
import { startTestApp, type TestApp } from './support/app.ts';
import { anchorsOf, blocksOf } from './support/markdown.ts';
import { articleAnswer, type PredictAnswer } from './support/requests.ts';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const packageJson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

describe('README', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  test('shows a request that is answered as it says', async () => {
    const curl = blocksOf(readme, 'sh').find((block) => block.startsWith('curl'))!;
    const { stdout } = await promisify(execFile)('sh', ['-c', curl.replace('http://127.0.0.1:3000', app.url)]);
    const answer = JSON.parse(stdout) as PredictAnswer;
    const shown = JSON.parse(blocksOf(readme, 'json')[0]!) as PredictAnswer;
    expect(Object.keys(answer)).toEqual(Object.keys(shown));
    for (const { prediction } of [answer, shown]) expect(Math.abs(prediction - articleAnswer)).toBeLessThan(1e-9);
  });

  test('shows what /health says, with every key', async () => {
    const shown = JSON.parse(blocksOf(readme, 'json')[1]!) as Record<string, object>;
    const answer = (await (await fetch(`${app.url}/health`)).json()) as Record<string, object>;
    expect(Object.keys(answer)).toEqual(Object.keys(shown));
    expect(Object.keys(answer.backlog!)).toEqual(Object.keys(shown.backlog!));
  });

  test('shows SQL that runs', async () => {
    expect(blocksOf(readme, 'sql').length).toBeGreaterThan(0);
    for (const block of blocksOf(readme, 'sql')) await app.database.query(block);
  });

  test('names what npm run pipelines does, all of it', () => {
    const usage = readFileSync(join(root, 'scripts/pipelines.ts'), 'utf8');
    const words = [...usage.matchAll(/^ {2}(\w+) .* {2,}/gm)].map(([, word]) => word!);
    const shown = [...readme.matchAll(/npm run pipelines -- (\w+)/g)].map(([, word]) => word!);
    expect(new Set(shown)).toEqual(new Set(words));
  });

  test('names commands, files and settings that exist, and every setting', () => {
    const texts = [readme, readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')].join('\n');
    for (const [, script] of texts.matchAll(/npm run ([\w:]+)/g)) expect(packageJson.scripts).toHaveProperty([script!]);
    for (const [, path, anchor] of texts.matchAll(/\]\(((?!http)[^)#]+)(#[^)]+)?\)/g)) {
      expect(existsSync(join(root, path!)), path).toBe(true);
      if (anchor) expect(anchorsOf(readFileSync(join(root, path!), 'utf8'))).toContain(anchor);
    }
    const table = /## Settings[\s\S]*?(?=\n## )/.exec(readme)![0];
    expect([...settingNames].filter((name) => !table.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('docs/reliability.md', () => {
  test('names tests that exist for the ways in which rows can be lost', () => {
    const text = readFileSync(join(root, 'docs/reliability.md'), 'utf8');
    const section = /## How answered predictions can fail[\s\S]*?(?=\n## )/.exec(text)![0];
    const named = [...section.matchAll(/`((?:faults|prediction-log)\/[\w/-]+)`/g)].map(([, name]) => name!);
    expect(named.length).toBeGreaterThan(20);
    for (const name of named) expect(existsSync(join(root, 'test', `${name}.test.ts`)), name).toBe(true);
  });
});
