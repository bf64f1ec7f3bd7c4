import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { makeDirectory } from '../support/directory.ts';
import { childEnvironment } from '../support/server.ts';

const root = join(import.meta.dirname, '../..');
const commands = {
  server: 'src/server.js',
  migrate: 'scripts/migrate.js',
  train: 'scripts/train.js',
  schedule: 'scripts/schedule.js',
};

/** What is installed, in a directory of its own, so that a .env file can lie in it. */
let directory: string;
beforeEach(async () => {
  directory = await makeDirectory('installation');
  for (const part of ['dist', 'migrations', 'package.json'])
    cpSync(join(root, part), join(directory, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
});
afterEach(() => {
  chmodSync(directory, 0o755);
  rmSync(directory, { recursive: true, force: true });
});

/** Runs a program there to its end. */
async function run(program: string, args: string[], settings: Record<string, string> = {}) {
  const {
    DATA_DIR: _data,
    MODELS_DIR: _models,
    PORT: _port,
    ...env
  } = childEnvironment(settings, {
    dataDir: '',
    modelsDir: '',
    remove: async () => undefined,
  });
  const child = spawn(program, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

const start = (command: keyof typeof commands, settings?: Record<string, string>) =>
  run(process.execPath, [join('dist', commands[command])], { RETRAIN_CRON: '0 3 * * *', ...settings });

describe('.env beside package.json', () => {
  test.each(Object.keys(commands) as (keyof typeof commands)[])(
    'stops %s by a name that is nearly a setting',
    async (command) => {
      writeFileSync(join(directory, '.env'), 'DATABSE_URL=postgres://u:hunter2@127.0.0.1/d\n');
      const { code, output } = await start(command);
      expect(output).toMatch(/DATABSE_URL in \.env is no setting\. Write DATABASE_URL/);
      expect(output).not.toMatch(/hunter2|^\s+at /m);
      expect(code).toBe(1);
    },
  );

  test('is read behind a byte order mark, and what is of others in it is one warning', async () => {
    const database = await createTestDatabase({ migrated: false });
    writeFileSync(join(directory, '.env'), `\uFEFFDATABASE_URL="${database.url}"\r\nPOSTGRES_PASSWORD=hunter2\r\n`);
    const { code, output } = await start('migrate');
    expect(output).toMatch(/^Warning: .*: POSTGRES_PASSWORD$/m);
    expect(output).toMatch(/^Applied 0001/m);
    expect(output).not.toContain('hunter2');
    expect(code).toBe(0);
    await database.drop();
  });

  test('is refused by the server where it can never work, in one message', async () => {
    writeFileSync(join(directory, '.env'), 'DATABASE_URL=postgres://app:S3cr@tHorse#9@127.0.0.1/ridge\n');
    const { code, output } = await start('server');
    expect(output).toMatch(/DATABASE_URL: expected a postgres:\/\/ URL .*# is written %23/);
    expect(output).not.toMatch(/S3cr|tHorse/i);
    expect(code).toBe(1);
  });
});

test('a build without the development dependencies says how to install them', async () => {
  rmSync(join(directory, 'node_modules'));
  mkdirSync(join(directory, 'node_modules'));
  cpSync(join(root, 'scripts'), join(directory, 'scripts'), { recursive: true });
  const { code, output } = await run('npm', ['start']);
  expect(output).toMatch(/tsx and esbuild.*not installed[\s\S]*npm ci --include=dev/);
  expect(output).not.toMatch(/Permission denied|not found/);
  expect(code).not.toBe(0);
});
