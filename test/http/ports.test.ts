/**
 * What is where: every route of both ports under every combination of the settings that decide it. The table below is the
 * promise; nothing in it is asked of the code.
 */
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAdmin } from '../../src/admin.ts';
import { createApp } from '../../src/app.ts';
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config.ts';
import { prepareDatabase } from '../../src/process/prepare.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDirectories, type ServerDirectories } from '../support/directory.ts';
import { silentLogger } from '../support/noted-log.ts';
import { articleRow } from '../support/requests.ts';
import { startServer } from '../support/server.ts';

interface Settings {
  NODE_ENV: 'development' | 'production';
  ADMIN_PORT: '' | '0';
  DOCS_ENABLED: '' | 'true' | 'false';
  EXPOSE_MODEL_VERSION: '' | 'true' | 'false';
  GROUND_TRUTH: '' | 'public' | 'admin' | 'off';
}

type Route = `${'GET' | 'POST'} /${string}`;

const ALWAYS: Route[] = ['GET /health', 'GET /livez', 'GET /readyz'];
const PREDICT: Route[] = ['POST /predict', 'POST /predict/batch'];
const LABELS: Route[] = ['POST /ground-truth', 'POST /ground-truth/batch'];
const PIPELINES: Route[] = [
  ...(['GET /pipelines', 'GET /pipelines/{version}', 'POST /pipelines/{version}/promote'] as const),
  ...(['POST /pipelines/rollback', 'POST /pipelines/resume'] as const),
];
const PREDICTIONS: Route[] = ['GET /predictions/{id}'];
const MONITORING: Route[] = ['GET /monitoring/quality', 'GET /monitoring/drift'];
const OPERATIONS: Route[] = ['GET /metrics', ...PIPELINES, ...PREDICTIONS, ...MONITORING];
const DOCS: Route[] = ['GET /docs', 'GET /docs/', 'GET /docs/json', 'GET /docs/yaml', 'GET /docs/static/index.html'];
const PAGE: Route[] = ['GET /'];

const EVERY_ROUTE = [...ALWAYS, ...PREDICT, ...LABELS, ...OPERATIONS, ...DOCS, ...PAGE];

function isPublic(route: Route, settings: Settings): boolean {
  const { NODE_ENV, ADMIN_PORT, DOCS_ENABLED } = settings;
  const production = NODE_ENV === 'production';
  if (LABELS.includes(route)) {
    return whoLabels(settings) === 'public' || (whoLabels(settings) === 'admin' && !production && ADMIN_PORT === '');
  }
  if (OPERATIONS.includes(route)) return !production && ADMIN_PORT === '';
  if (DOCS.includes(route)) return production ? DOCS_ENABLED === 'true' : DOCS_ENABLED !== 'false';
  if (PAGE.includes(route)) return !production;
  return true;
}

function whoLabels({ NODE_ENV, GROUND_TRUTH }: Settings): string {
  return GROUND_TRUTH === '' ? { development: 'public', production: 'admin' }[NODE_ENV] : GROUND_TRUTH;
}

/** Of the admin port. */
function isOfOperators(route: Route, settings: Settings): boolean {
  const { DOCS_ENABLED } = settings;
  if (PREDICT.includes(route)) return false;
  if (LABELS.includes(route)) return whoLabels(settings) === 'admin';
  return DOCS.includes(route) ? DOCS_ENABLED !== 'false' : true;
}

const SHORT_HEALTH = ['status', 'database', 'model', 'prediction_log'];
const WHOLE_HEALTH = [...SHORT_HEALTH, 'refused_version', 'reasons', 'backlog', 'alarms'];

/** Every value of each setting, with those that a start takes. */
const combinations: Settings[] = (['development', 'production'] as const).flatMap((NODE_ENV) =>
  (['', '0'] as const).flatMap((ADMIN_PORT) => {
    const docs = (['', 'true', 'false'] as const).flatMap((DOCS_ENABLED) =>
      (['', 'true', 'false'] as const).map((EXPOSE_MODEL_VERSION) => ({ DOCS_ENABLED, EXPOSE_MODEL_VERSION })),
    );
    const usual = docs.map((some) => ({ NODE_ENV, ADMIN_PORT, GROUND_TRUTH: '' as const, ...some }));
    const labels = (['public', 'admin', 'off'] as const).map((GROUND_TRUTH) => ({
      ...usual[0]!,
      GROUND_TRUTH,
    }));
    return [...usual, ...labels].filter((settings) => !isRefused(settings));
  }),
);

function isRefused({ NODE_ENV, ADMIN_PORT, GROUND_TRUTH }: Settings): boolean {
  return NODE_ENV === 'production' && ADMIN_PORT === '' && GROUND_TRUTH === 'admin';
}

async function ask(url: string, route: Route): Promise<Response> {
  const [method, path] = route.split(' ') as [string, string];
  // An hour old.
  const id = v7({ msecs: Date.now() - 3_600_000 });
  const row = LABELS.includes(route) ? { prediction_id: id, actual: 24 } : articleRow;
  const instances = path.endsWith('batch') ? { instances: [row] } : row;
  const body = method === 'POST' ? { body: JSON.stringify(instances) } : {};
  return await fetch(url + path.replace('{version}', '2026_11_22__17_57_15').replace('{id}', id), {
    method,
    headers: { 'content-type': 'application/json' },
    ...body,
  });
}

async function keysOf(url: string, route: Route): Promise<string[]> {
  return Object.keys((await (await ask(url, route)).json()) as object);
}

/** Holds a port against what it should have, and its document against its routes. */
async function walk(url: string, has: (route: Route) => boolean): Promise<void> {
  for (const route of EVERY_ROUTE) {
    const response = await ask(url, route);
    if (route === 'POST /ground-truth') {
      expect(response.status, route).toBe(has(route) ? 202 : 404);
    } else if (PIPELINES.includes(route) || PREDICTIONS.includes(route)) {
      // The body is no reason for a promotion, and neither the version nor the prediction is there.
      const { type } = (await response.json()) as { type?: string };
      expect(type !== 'urn:ridgeline:error:not_found', route).toBe(has(route));
    } else expect(response.status, route).toBe(has(route) ? 200 : 404);
  }
  if (!has('GET /docs/json')) return;
  const { paths } = (await (await fetch(`${url}/docs/json`)).json()) as { paths: Record<string, object> };
  const documented = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const expected = [...ALWAYS, ...PREDICT, ...LABELS, ...OPERATIONS].filter(has);
  expect(documented.sort()).toEqual(expected.sort());
}

async function walkPorts(url: string, adminUrl: string | undefined, settings: Settings): Promise<void> {
  const production = settings.NODE_ENV === 'production';
  const exposed = settings.EXPOSE_MODEL_VERSION === '' ? !production : settings.EXPOSE_MODEL_VERSION === 'true';
  const version = exposed ? ['model_version'] : [];
  await walk(url, (route) => isPublic(route, settings));
  expect((await keysOf(url, 'GET /health')).sort()).toEqual(
    [...(production ? SHORT_HEALTH : WHOLE_HEALTH), ...version].sort(),
  );
  expect((await keysOf(url, 'POST /predict')).sort()).toEqual(['prediction', 'prediction_id', ...version].sort());

  expect(adminUrl === undefined).toBe(settings.ADMIN_PORT === '');
  if (adminUrl === undefined) return;
  await walk(adminUrl, (route) => isOfOperators(route, settings));
  expect((await keysOf(adminUrl, 'GET /health')).sort()).toEqual([...WHOLE_HEALTH, 'model_version'].sort());
}

let database: TestDatabase;
let directories: ServerDirectories;
beforeAll(async () => {
  database = await createTestDatabase();
  directories = await makeDirectories();
  await prepareDatabase(database.url, {
    clock: systemClock,
    modelsDir: directories.modelsDir,
    onProgress: () => undefined,
  });
});
afterAll(async () => {
  await database.drop();
  await directories.remove();
});

describe('one process', () => {
  test.each(combinations)(
    '$NODE_ENV, ADMIN_PORT=$ADMIN_PORT, DOCS_ENABLED=$DOCS_ENABLED, EXPOSE_MODEL_VERSION=$EXPOSE_MODEL_VERSION, GROUND_TRUTH=$GROUND_TRUTH',
    async (settings) => {
      const { dataDir, modelsDir } = directories;
      const config = loadConfig({
        DATABASE_URL: database.url,
        PORT: '0',
        DATA_DIR: dataDir,
        MODELS_DIR: modelsDir,
        ...settings,
      });
      const app = await createApp({
        config,
        databaseUrl: database.url,
        spoolRoot: dataDir,
        clock: systemClock,
        log: silentLogger,
        droppedLines: () => 0,
      });
      const url = await app.http.listen({ host: '127.0.0.1', port: 0 });
      const admin =
        config.adminPort === undefined
          ? undefined
          : await openAdmin({ config, operations: app.operations, log: silentLogger });
      try {
        await walkPorts(url, admin && `http://127.0.0.1:${admin.port}`, settings);
      } finally {
        await app.close();
        await admin?.close(1_000);
      }
    },
  );
});

describe('two workers', () => {
  const some = combinations.filter(
    ({ DOCS_ENABLED, EXPOSE_MODEL_VERSION }) => DOCS_ENABLED === '' && EXPOSE_MODEL_VERSION === '',
  );
  test.each(some)('$NODE_ENV, ADMIN_PORT=$ADMIN_PORT, GROUND_TRUTH=$GROUND_TRUTH', async (settings) => {
    const server = await startServer({ DATABASE_URL: database.url, WORKERS: '2', ...settings }, directories);
    try {
      await walkPorts(server.url, server.adminUrl, settings);
      expect(await server.stop()).toBe(0);
    } finally {
      await server.stop('SIGKILL');
    }
  });
});
