/** docs/operations.md against the sources: a page for the night must say what the service says. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { settingNames } from '../src/config.ts';
import { errorCodes, RidgelineError } from '../src/errors.ts';
import { logMessages } from './support/log-messages.ts';
import { anchorsOf, sectionOf } from './support/markdown.ts';

const docs = join(import.meta.dirname, '../docs');
const page = readFileSync(join(docs, 'operations.md'), 'utf8');
const packageJson = JSON.parse(readFileSync(join(docs, '../package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

/** The first two cells of each row of a table, without code marks. */
function rowsOf(text: string): [first: string, second: string][] {
  return [...text.matchAll(/^\| ([^|]+) \| ([^|]*) \|/gm)].map(([, first, second]) => [
    first!.replaceAll('`', ''),
    second!.replaceAll('`', ''),
  ]);
}

describe('docs/operations.md', () => {
  test('asks something for every line that is logged at warn, error or fatal, and for no other', () => {
    const logged = logMessages().map(({ level, message }) => `${level}: ${message}`);
    const [, , ...rows] = rowsOf(sectionOf(page, 'What each log line asks for'));
    const shown = rows.map(([level, message]) => `${level}: ${message}`);
    expect(shown.toSorted()).toEqual([...new Set(logged)].toSorted());
    expect(logged.length).toBeGreaterThan(30);
  });

  test('says what to do about every 503', () => {
    const [, , ...rows] = rowsOf(page.split('### Callers get 503')[1]!.split('\n#')[0]!);
    const codes = rows.map(([code]) => code).filter((code) => !code.startsWith('none'));
    const all = errorCodes.filter((code) => new RidgelineError(code).status === 503);
    expect(codes.toSorted()).toEqual(all.toSorted());
  });

  test('names commands, settings, pages and headings that exist', () => {
    for (const [, script] of page.matchAll(/npm run ([\w:]+)/g)) {
      if (script !== 'NAME') expect(packageJson.scripts).toHaveProperty([script!]);
    }
    const names = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)\b/g)].map(([, name]) => name!);
    expect(names.filter((name) => !(settingNames as string[]).includes(name))).toEqual([]);
    for (const [, path, anchor] of page.matchAll(/\]\(((?!http)[^)#]*)(#[^)]+)?\)/g)) {
      const file = path ? join(docs, path) : join(docs, 'operations.md');
      expect(existsSync(file), path).toBe(true);
      if (anchor) expect(anchorsOf(readFileSync(file, 'utf8')), path).toContain(anchor);
    }
  });
});
