import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError, loadConfig, settingNames } from '../src/config.ts';
import { projectRoot } from '../src/project-root.ts';

const packageJson = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

function refusalOf(environment: Record<string, string>): string {
  try {
    loadConfig(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error('The settings were accepted.');
}

const defaults = {
  version: packageJson.version,
  databaseUrl: undefined,
  host: '127.0.0.1',
  port: 3000,
  adminHost: '127.0.0.1',
  adminPort: undefined,
  groundTruth: 'public',
  production: false,
  docsPath: '/docs',
  adminDocsPath: '/docs',
  exposeModelVersion: true,
  logLevel: 'info',
  dataDir: join(projectRoot, '.data'),
  modelsDir: join(projectRoot, 'models'),
  workers: 1,
  maxBatchRows: 1000,
  modelPollSeconds: 5,
  predictionLog: 'spool',
  predictionLogFsync: false,
  spoolMaxBytes: 1024 ** 3,
  retrainCron: undefined,
  shutdownGraceSeconds: 25,
  drainSeconds: 5,
};

describe('the defaults', () => {
  test('are those of the documentation', () => {
    expect(loadConfig({})).toMatchObject(defaults);
  });

  test('are taken for empty variables too', () => {
    expect(loadConfig(Object.fromEntries(settingNames.map((name) => [name, ''])))).toEqual(loadConfig({}));
  });

  test('in production turn the documentation off and hide the version of the pipeline', () => {
    const config = loadConfig({ NODE_ENV: 'production' });
    expect(config).toMatchObject({ production: true, exposeModelVersion: false });
    expect(config.docsPath).toBeUndefined();
    expect(config.adminDocsPath).toBe('/docs');
  });

  test('leave room for a full batch in the body', () => {
    expect(loadConfig({}).bodyLimitBytes).toBeGreaterThanOrEqual(1000 * 500);
    expect(loadConfig({ MAX_BATCH_ROWS: '20000' }).bodyLimitBytes).toBeGreaterThanOrEqual(20_000 * 500);
    expect(loadConfig({ MAX_BATCH_ROWS: '1' }).bodyLimitBytes).toBeGreaterThanOrEqual(16_384);
  });
});

describe('a setting is read:', () => {
  test.each<[Record<string, string>, object]>([
    [{ DATABASE_URL: 'postgres://me:secret@db:5433/house' }, { databaseUrl: 'postgres://me:secret@db:5433/house' }],
    [
      { DATABASE_URL: 'postgresql://db/house?sslmode=require' },
      { databaseUrl: 'postgresql://db/house?sslmode=require' },
    ],
    [
      { HOST: '0.0.0.0', PORT: '0' },
      { host: '0.0.0.0', port: 0 },
    ],
    [
      { ADMIN_HOST: '0.0.0.0', ADMIN_PORT: '3001' },
      { adminHost: '0.0.0.0', adminPort: 3001 },
    ],
    [
      { PORT: '0', ADMIN_PORT: '0' },
      { port: 0, adminPort: 0 },
    ],
    [{ NODE_ENV: 'test' }, { production: false, groundTruth: 'public' }],
    [{ NODE_ENV: 'production' }, { groundTruth: 'off' }],
    [{ NODE_ENV: 'production', ADMIN_PORT: '0' }, { groundTruth: 'admin' }],
    [{ NODE_ENV: 'production', GROUND_TRUTH: 'public' }, { groundTruth: 'public' }],
    [{ NODE_ENV: 'production', GROUND_TRUTH: 'admin', ADMIN_PORT: '3001' }, { groundTruth: 'admin' }],
    [{ GROUND_TRUTH: 'admin' }, { groundTruth: 'admin' }],
    [{ GROUND_TRUTH: 'off' }, { groundTruth: 'off' }],
    [
      { NODE_ENV: 'production', DOCS_ENABLED: 'true', EXPOSE_MODEL_VERSION: '1' },
      { docsPath: '/docs', adminDocsPath: '/docs', exposeModelVersion: true },
    ],
    [
      { DOCS_ENABLED: 'false', EXPOSE_MODEL_VERSION: '0' },
      { docsPath: undefined, adminDocsPath: undefined, exposeModelVersion: false },
    ],
    [{ DOCS_PATH: '/internal/api-docs' }, { docsPath: '/internal/api-docs' }],
    [{ DOCS_PATH: '/healthy-docs' }, { docsPath: '/healthy-docs' }],
    [{ LOG_LEVEL: 'silent' }, { logLevel: 'silent' }],
    [
      { DATA_DIR: '/var/lib/ridgeline', MODELS_DIR: 'artefacts' },
      { dataDir: '/var/lib/ridgeline', modelsDir: join(projectRoot, 'artefacts') },
    ],
    [
      { WORKERS: '4', MAX_BATCH_ROWS: '100', BODY_LIMIT_BYTES: '2048' },
      { workers: 4, maxBatchRows: 100, bodyLimitBytes: 2048 },
    ],
    [{ MODEL_POLL_SECONDS: '60' }, { modelPollSeconds: 60 }],
    [
      { PREDICTION_LOG: 'sync', PREDICTION_LOG_FSYNC: 'on', SPOOL_MAX_BYTES: '1000000' },
      { predictionLog: 'sync', predictionLogFsync: true, spoolMaxBytes: 1_000_000 },
    ],
    [{ PREDICTION_LOG: 'off' }, { predictionLog: 'off' }],
    [{ RETRAIN_CRON: '*/5 3 * * 1-5' }, { retrainCron: '*/5 3 * * 1-5' }],
    [{ RETRAIN_CRON: ' 0\t3  * * *\n' }, { retrainCron: '0 3 * * *' }],
    [
      { PORT: ' 3000\n', NODE_ENV: 'test\r\n', DATA_DIR: '\t/var/lib/ridgeline ', HOST: '\uFEFF0.0.0.0' },
      { port: 3000, dataDir: '/var/lib/ridgeline', host: '0.0.0.0' },
    ],
    [
      { LOG_LEVEL: '  ', WORKERS: '\n' },
      { logLevel: 'info', workers: 1 },
    ],
    [
      { DATABASE_URL: 'postgres://u:p@/db?host=/var/run/postgresql' },
      { databaseUrl: 'postgres://u:p@/db?host=/var/run/postgresql' },
    ],
    [{ SHUTDOWN_GRACE_SECONDS: '1' }, { shutdownGraceSeconds: 1, drainSeconds: 0.2 }],
    [{ SHUTDOWN_GRACE_SECONDS: '600' }, { drainSeconds: 5 }],
    [{ PREDICTIONS_KEEP_MONTHS: '24' }, { predictionsKeepMonths: 24 }],
    [{}, { predictionsKeepMonths: undefined }],
    [{ DRAIN_SECONDS: '0' }, { drainSeconds: 0 }],
    [{ DRAIN_SECONDS: '24' }, { drainSeconds: 24 }],
  ])('%j', (environment, expected) => {
    expect(loadConfig(environment)).toMatchObject(expected);
  });
});

describe('a wrong setting is refused with its name and its valid values:', () => {
  test.each([
    ['DATABASE_URL', 'mysql://db/house', 'a postgres:// URL'],
    ['DATABASE_URL', 'localhost:5432', 'a postgres:// URL'],
    ['DATABASE_URL', 'postgres://u:pa#ss@db/house', '# is written %23'],
    ['PORT', '65536', '0 (any free port) to 65535'],
    ['PORT', '-1', '0 (any free port) to 65535'],
    ['PORT', '80.5', '0 (any free port) to 65535'],
    ['PORT', '0x50', '0 (any free port) to 65535'],
    ['PORT', '30 00', '0 (any free port) to 65535'],
    ['ADMIN_PORT', '65536', '0 (any free port) to 65535, or unset for none'],
    ['ADMIN_PORT', '3000', 'another port than PORT, which is 3000'],
    ['GROUND_TRUTH', 'on', 'public, admin or off'],
    ['NODE_ENV', 'prod', 'development, test or production'],
    ['DOCS_ENABLED', 'yes', 'true or false'],
    ['DOCS_PATH', 'docs', 'a path such as /docs'],
    ['DOCS_PATH', '/', 'a path such as /docs'],
    ['DOCS_PATH', '/predict', 'not of another route'],
    ['DOCS_PATH', '/metrics', 'not of another route'],
    ['DOCS_PATH', '/health/docs', 'not of another route'],
    ['EXPOSE_MODEL_VERSION', 'TRUE', 'true or false'],
    ['LOG_LEVEL', 'verbose', 'trace, debug, info, warn, error, fatal or silent'],
    ['WORKERS', '0', '1 to 128'],
    ['WORKERS', 'auto', '1 to 128'],
    ['MAX_BATCH_ROWS', '0', '1 to 100000'],
    ['MAX_BATCH_ROWS', '1e3', '1 to 100000'],
    ['BODY_LIMIT_BYTES', '100', 'from 1024 to 1073741824'],
    ['MODEL_POLL_SECONDS', '0', '1 to 3600'],
    ['PREDICTION_LOG', 'on', 'spool, sync or off'],
    ['PREDICTION_LOG_FSYNC', 'true', 'on or off'],
    ['SPOOL_MAX_BYTES', '1', 'at least 65536'],
    ['SPOOL_MAX_BYTES', '9'.repeat(400), 'at least 65536'],
    ['RETRAIN_CRON', 'daily', 'five cron fields in UTC'],
    ['RETRAIN_CRON', '0 3 * *', 'five cron fields in UTC'],
    ['RETRAIN_CRON', '0 0 3 * * *', 'five cron fields in UTC'],
    ['RETRAIN_CRON', '61 3 * * *', 'five cron fields in UTC'],
    ['SHUTDOWN_GRACE_SECONDS', '601', '1 to 600'],
    ['PREDICTIONS_KEEP_MONTHS', '0', 'a whole number of months from 1 to 1200'],
    ['DRAIN_SECONDS', '-1', '0 to 599'],
    ['DRAIN_SECONDS', '25', 'less than SHUTDOWN_GRACE_SECONDS, which is 25'],
  ])('%s=%s', (name, value, valid) => {
    const [heading, ...problems] = refusalOf({ [name]: value }).split('\n');
    expect(heading).toContain('.env.example');
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`${name}: expected`);
    expect(problems[0]).toContain(valid);
  });
});

test('labels written out to be on an admin port that production does not have stop the start', () => {
  const problem = '  GROUND_TRUTH: expected ADMIN_PORT to be set as well, or public or off';
  expect(refusalOf({ NODE_ENV: 'production', GROUND_TRUTH: 'admin' }).split('\n').slice(1)).toEqual([problem]);
  expect(refusalOf({ NODE_ENV: 'production', GROUND_TRUTH: 'admin', ADMIN_PORT: '' })).toContain(problem);
});

test('every wrong setting is named in one message, and those that are right are not', () => {
  const message = refusalOf({ PORT: 'x', LOG_LEVEL: 'x', WORKERS: 'x', HOST: 'localhost', DATABASE_URL: 'x' });
  const named = message
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(':')[0]);
  expect(named.toSorted()).toEqual(['DATABASE_URL', 'LOG_LEVEL', 'PORT', 'WORKERS']);
});

test('a wrong setting is not echoed: it may be a password', () => {
  expect(refusalOf({ DATABASE_URL: 'postgress://me:hunter2@db/house' })).not.toContain('hunter2');
});

test('unknown variables are nobody here', () => {
  expect(loadConfig({ PATH: '/bin', PORTS: 'x' })).toEqual(loadConfig({}));
});

describe('a .env file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ridgeline-env-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  function load(text: string | Buffer, environment: Record<string, string> = {}) {
    writeFileSync(join(directory, '.env'), text);
    return loadConfig(environment, join(directory, '.env'));
  }

  test('adds what the environment does not say, whatever begins it', () => {
    const environment = { PORT: '3001', HOST: '' };
    const file = '\uFEFFDATABASE_URL=postgres://db/house\r\nPORT=3000\r\nHOST=::1\r\n';
    const config = load(file, environment);
    expect(config).toMatchObject({ databaseUrl: 'postgres://db/house', port: 3001, host: '127.0.0.1', warnings: [] });
  });

  test('stops the start by a name that is nearly a setting, beside what else is wrong', () => {
    const wrong = () => load('DATABSE_URL=postgres://u:hunter2@db/house\nPORT=x\n');
    expect(wrong).toThrow(ConfigError);
    expect(wrong).toThrow(/DATABSE_URL in \.env is no setting\. Write DATABASE_URL[\s\S]*PORT: expected/);
    expect(wrong).not.toThrow(/hunter2/);
  });

  test('stops the start by a line that sets nothing, and by another encoding', () => {
    expect(() => load('DATABASE_URL: postgres://db/house')).toThrow(/\.env line 1 is not NAME=value/);
    expect(() => load(Buffer.from('\uFEFFPORT=1\n', 'utf16le'))).toThrow(/UTF-16/);
  });

  test('may hold what is of others: one warning', () => {
    const { warnings } = load('POSTGRES_PASSWORD=hunter2\nCOMPOSE_PROJECT_NAME=x\nPGPASSWORD=x\n');
    expect(warnings).toEqual([expect.stringMatching(/: COMPOSE_PROJECT_NAME, POSTGRES_PASSWORD$/)]);
  });

  test('hands on what pg itself looks for in the environment', () => {
    const environment: Record<string, string> = {};
    load('PGPASSWORD=x', environment);
    expect(environment).toEqual({ PGPASSWORD: 'x' });
  });
});

test('what is nearly a setting in the environment is a warning', () => {
  expect(loadConfig({ MODEL_DIR: 'x' }).warnings).toEqual([expect.stringMatching(/MODEL_DIR \(MODELS_DIR\?\)/)]);
});

test('the settings are frozen', () => {
  const config = loadConfig({}) as { port: number };
  expect(() => {
    config.port = 1;
  }).toThrow(TypeError);
});

test('directories are absolute, wherever a command is started', () => {
  const { dataDir, modelsDir } = loadConfig({ DATA_DIR: './a/../b' });
  expect(isAbsolute(dataDir) && isAbsolute(modelsDir)).toBe(true);
  expect(dataDir).toBe(join(projectRoot, 'b'));
});

describe('.env.example', () => {
  const read = () => readFileSync(new URL('../.env.example', import.meta.url), 'utf8');

  test('names every setting once, and nothing else', () => {
    const names = Array.from(read().matchAll(/^(?:# ?)?([A-Z][A-Z0-9_]*)=/gm), ([, name]) => name);
    expect(names.toSorted()).toEqual(settingNames.toSorted());
  });

  test('changes nothing when it is copied to .env as it is', () => {
    const assigned = Array.from(read().matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm), ([, name, value]) => [
      name,
      value!.replace(/\s+#.*$/, '').replace(/^(["'])(.*)\1$/, '$2'),
    ]);
    expect(loadConfig(Object.fromEntries(assigned))).toEqual(loadConfig({}));
  });
});
