import { expect, test } from 'vitest';
import { settingNames } from '../src/config.ts';
import { judgeNames } from '../src/setting-names.ts';

const judge = (environment: Record<string, string>, values: Record<string, string>, repeated: string[] = []) =>
  judgeNames(settingNames, environment, { values, problems: [], repeated });

test('what is nearly a setting in .env is told with the right name; all others there make one warning', () => {
  const values = {
    DATABSE_URL: 'x',
    LOG_LEVELS: 'x',
    POSTGRES_PASSWORD: 'x',
    COMPOSE_FILE: 'x',
    port: 'x',
    PGPASSWORD: 'x',
  };
  const { misspelt, warnings } = judge(values, { ...values, PORT: '1' });
  expect(misspelt).toEqual([
    expect.stringMatching(/^DATABSE_URL in \.env .*DATABASE_URL/),
    expect.stringMatching(/^LOG_LEVELS in \.env .*LOG_LEVEL,/),
  ]);
  expect(warnings).toEqual([expect.stringMatching(/: POSTGRES_PASSWORD, COMPOSE_FILE, port \(in lower case\)$/)]);
});

test('in the environment only what is nearly a setting and has 8 letters or more is a warning, and one', () => {
  const environment = {
    MODEL_DIR: 'x',
    WORKERSS: 'x',
    PORTS: 'x',
    HOSTNAME: 'x',
    NODE_ENVS: 'x',
    npm_config_port: 'x',
    PATH: 'x',
  };
  const { misspelt, warnings } = judge(environment, {});
  expect(misspelt).toEqual([]);
  expect(warnings).toEqual([expect.stringMatching(/: MODEL_DIR \(MODELS_DIR\?\), WORKERSS \(WORKERS\?\)$/)]);
});

test('a setting that .env gives twice is a warning; another name twice is nobody’s', () => {
  expect(judge({}, { PORT: '2' }, ['PORT', 'FOO']).warnings).toEqual([expect.stringMatching(/last counts.*: PORT$/)]);
});

test('a warning names at most twenty', () => {
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`SOMETHING_ELSE_${i}`, 'x']));
  const { warnings } = judge({}, many);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]!.match(/SOMETHING_ELSE/g)).toHaveLength(20);
  expect(warnings[0]).toMatch(/and 30 more$/);
});

test('settings are never taken for each other', () => {
  const all = Object.fromEntries(settingNames.map((name) => [name, 'x']));
  expect(judge(all, all)).toEqual({ misspelt: [], warnings: [] });
});
