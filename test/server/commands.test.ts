import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const command = (name: string, option: string) =>
  run(process.execPath, [join(import.meta.dirname, `../../dist/scripts/${name}.js`), option]);

it.each(['migrate', 'schedule'])('%s takes no arguments, and says so before it does anything', async (name) => {
  const failure = { code: 2, stdout: '', stderr: expect.stringMatching(/Unknown option '--bogus'.*\n\nUsage: /s) };
  await expect(command(name, '--bogus')).rejects.toMatchObject(failure);
  expect((await command(name, '--help')).stdout).toMatch(/^Usage: /);
});
