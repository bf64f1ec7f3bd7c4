import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const command = (name: string, options: string | string[], env: NodeJS.ProcessEnv = {}) =>
  run(process.execPath, [join(import.meta.dirname, `../../dist/scripts/${name}.js`), ...[options].flat()], {
    env: { ...process.env, ...env },
  });

test.each(['migrate', 'schedule'])('%s takes no arguments, and says so before it does anything', async (name) => {
  const failure = { code: 2, stdout: '', stderr: expect.stringMatching(/Unknown option '--bogus'.*\n\nUsage: /s) };
  await expect(command(name, '--bogus')).rejects.toMatchObject(failure);
  expect((await command(name, '--help')).stdout).toMatch(/^Usage: /);
});

/** What npm leaves in the environment of `npm run train --data=mine.csv`; its value is 'true' without the sign. */
test.each([
  [{ npm_config_data: 'mine.csv' }, [], '--data mine.csv'],
  [{ npm_config_data: 'true' }, ['mine.csv'], '--data mine.csv'],
  [{ npm_config_json: 'true' }, [], '--json'],
  [{ npm_config_seed: '3', npm_config_reason: 'new rows' }, [], "--seed 3 --reason 'new rows'"],
  [{ npm_config_by: 'me' }, ['--json'], '--by me --json'],
  [{ npm_config_data: '' }, [], "--data ''"],
])('train says how to write what npm has taken: %j', async (taken, rest, written) => {
  await expect(command('train', rest, { npm_lifecycle_event: 'train', ...taken })).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining(`Write \`npm run train -- ${written}\`.`),
  });
});

test('what npm is set to by others, or runs another command with, is not taken for an option', async () => {
  const others = { npm_lifecycle_event: 'train', npm_config_loglevel: 'silent', npm_config_cache: '/tmp/npm' };
  expect((await command('train', '--help', others)).stdout).toMatch(/^Usage: npm run train/);
  const elsewhere = { npm_lifecycle_event: 'test', npm_config_data: 'mine.csv' };
  expect((await command('train', '--help', elsewhere)).stdout).toMatch(/^Usage: npm run train/);
});

test('an option twice is asked back for', async () => {
  await expect(command('train', ['--alpha', '1', '--alpha', '2'])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^--alpha is there twice; which one is meant\?\n\nUsage: /),
  });
});

test.each(['0x10', '1e', '1_000', 'Infinity', ''])('--alpha %j is no number', async (text) => {
  await expect(command('train', ['--alpha', text])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`--alpha ${text}: expected a number`),
  });
});

test.each([
  [['--target', 'y'], '--target needs --data FILE, the rows to train on'],
  [['--features', 'f.json'], '--features needs --data FILE, the rows to train on'],
  [['--data', 'rows.csv', '--target', ''], '--target: expected the name of a column'],
  [['--data', 'rows.csv', '--features', ''], '--features: expected the name of a file'],
])('train %j is bad usage', async (options, message) => {
  await expect(command('train', options)).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining(`${message}\n\nUsage: `),
  });
});

test('--data without the name of a file is bad usage, as every option without its value is', async () => {
  await expect(command('train', ['--data', ''])).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^--data: expected the name of a file\n\nUsage: /),
  });
});
