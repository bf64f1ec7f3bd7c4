import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseEnvFile, readEnvFile } from '../src/env-file.ts';

const parse = (text: string, encoding: BufferEncoding = 'utf8') => parseEnvFile(Buffer.from(text, encoding));

test.each<[string, string, Record<string, string>]>([
  ['a byte order mark', '\uFEFFPORT=1\nHOST=h\n', { PORT: '1', HOST: 'h' }],
  ['line ends of Windows', 'PORT=1\r\nHOST=h\r\n', { PORT: '1', HOST: 'h' }],
  ['line ends of old Macs', 'PORT=1\rHOST=h\r', { PORT: '1', HOST: 'h' }],
  ['export', 'export PORT=1\n  export HOST=h', { PORT: '1', HOST: 'h' }],
  ['quotes of three kinds', 'A="x # y"\nB=\'x "y"\'\nC=`it\'s`', { A: 'x # y', B: 'x "y"', C: "it's" }],
  ['a value over two lines', 'A="x\n# y"\nB=1', { A: 'x\n# y', B: '1' }],
  ['comments', '# PORT=2\nPORT=1 # one\n  # it\'s "open\n', { PORT: '1' }],
  ['white space around names and values', ' PORT = 1 \n\tHOST=\th', { PORT: '1', HOST: 'h' }],
  ['nothing behind the sign', 'PORT=\nHOST=h', { PORT: '', HOST: 'h' }],
  ['signs and quotes inside a value', 'A=b=c\nB=it\'s "so"', { A: 'b=c', B: 'it\'s "so"' }],
  ['a comment that is not UTF-8', Buffer.from('# caf\xe9\nPORT=1', 'latin1').toString('utf8'), { PORT: '1' }],
  ['no line at all', '\n\n', {}],
])('reads %s', (_, text, values) => {
  expect(parse(text)).toMatchObject({ values, problems: [] });
});

test.each<[string, string, RegExp]>([
  ['a colon', 'PORT=1\nDATABASE_URL: postgres://u:hunter2@h/d\n', /^\.env line 2 is not NAME=value/],
  ['no sign, before another line', 'hunter2\nPORT=1', /^\.env line 1 is not NAME=value/],
  ['no name', '=hunter2\nPORT=1', /^\.env line 1 is not NAME=value/],
  ['a space in a name', 'MY PORT=hunter2', /^\.env line 1 is not NAME=value/],
  ['a quote that is not closed', 'PORT=1\nA="hunter2\nB=1', /^\.env line 2 .*one pair of quotes/],
  ['something behind the closing quote', "A='it''s hunter2'", /^\.env line 1 .*one pair of quotes/],
  [
    'a value that is not UTF-8',
    Buffer.from('\nA=caf\xe9 hunter2', 'latin1').toString('utf8'),
    /^\.env line 2 is not UTF-8/,
  ],
])('tells of %s, which the parser would pass over, without the value', (_, text, problem) => {
  const { problems, values } = parse(text);
  expect(problems).toEqual([expect.stringMatching(problem)]);
  expect(problems.join()).not.toContain('hunter2');
  expect(values).toEqual({});
});

test.each([
  ['with a byte order mark', '\uFEFFPORT=1\n'],
  ['without one', 'PORT=1\n'],
])('says that the file is UTF-16, %s', (_, text) => {
  expect(parse(text, 'utf16le').problems).toEqual([expect.stringMatching(/UTF-16.*Save it as UTF-8/)]);
});

test('has as many values as there are names before a sign, or names the line, whatever the file is made of', () => {
  const pieces = ['A', 'PORT', 'x', '=', '=', '"', "'", '`', '#', ' ', '\t', '\n', '\n', 'export ', ':', '\\', '\r'];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 30 }), (parts) => {
      const text = parts.join('');
      const { problems, values } = parse(`\uFEFF${text}`);
      for (const name of Object.keys(values)) expect(name).toMatch(/^[A-Za-z_][\w.-]*$/);
      // Without quotes a line is a line, and what it sets can be read with the naked eye.
      if (problems.length > 0 || /["'`]/.test(text)) return;
      const lines = text.split(/[\r\n]/);
      const set = lines.filter((line) => line.trim() !== '' && !line.trim().startsWith('#'));
      const expected = set.map((line) => /^\s*(?:export\s+)?(\w+)\s*=([^#]*)/.exec(line)!);
      const read = Object.entries(values).map(([name, value]) => [name, value.trim()]);
      expect(Object.fromEntries(read)).toEqual(
        Object.fromEntries(expected.map(([, name, value]) => [name, value!.trim()])),
      );
    }),
    { seed: 13, numRuns: 20_000 },
  );
});

test('names what is there twice', () => {
  expect(parse('PORT=1\nHOST=h\nPORT=2')).toMatchObject({ repeated: ['PORT'], values: { PORT: '2' } });
});

test('takes an absent file for an empty one, and says what to do when it cannot be read', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ridgeline-env-'));
  const path = join(directory, '.env');
  expect(readEnvFile(path)).toEqual({ values: {}, problems: [], repeated: [] });
  await mkdir(path);
  expect(readEnvFile(path).problems).toEqual([expect.stringMatching(/EISDIR.*remove it/)]);
  await rm(directory, { recursive: true });
});
