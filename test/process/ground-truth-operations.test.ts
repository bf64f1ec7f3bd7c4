/** Labels under load, and beside a Postgres that is slow or takes none: what else the service does must not notice. */
import { Client } from 'pg';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSimulatedClock } from '../../src/clock.ts';
import { createGroundTruth } from '../../src/process/ground-truth-operations.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { scrape } from '../support/metrics.ts';
import { createNotedLog } from '../support/noted-log.ts';
import { articleRow, post } from '../support/requests.ts';

interface BatchAnswer {
  results: string[];
  counts: Record<string, number>;
}

/** Ids of predictions that are in Postgres. */
async function predict(app: TestApp, rows: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < rows) {
    const instances = Array(Math.min(1000, rows - ids.length)).fill(articleRow);
    const response = await post(`${app.url}/predict/batch`, { instances });
    ids.push(...((await response.json()) as { prediction_ids: string[] }).prediction_ids);
  }
  await eventually(async () => (await count(app, 'predictions')) >= rows, 30_000);
  return ids;
}

async function count(app: TestApp, table: string): Promise<number> {
  const [found] = await app.database.query<{ rows: number }>(`select count(*)::int as rows from ${table}`);
  return found!.rows;
}

/** Holds up whoever writes labels, until it is ended. */
async function lockLabels(app: TestApp): Promise<() => Promise<void>> {
  const locker = new Client({ connectionString: app.database.url });
  await locker.connect();
  await locker.query('begin; lock table ground_truth in exclusive mode');
  return () => locker.end();
}

describe('64 callers with 1,000 labels each', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  test('of the same predictions, in opposite orders: each label is answered, and the last one observed stays', async () => {
    const ids = await predict(app, 8_000);
    const groups = Array.from({ length: 8 }, (_, group) => ids.slice(group * 1000, (group + 1) * 1000));
    const now = Date.now();
    let refused = 0;
    const counts = await Promise.all(
      Array.from({ length: 64 }, async (_, caller) => {
        const group = groups[caller % 8]!;
        const observed_at = new Date(now - 60_000 + caller).toISOString();
        const instances = group.map((prediction_id) => ({ prediction_id, actual: caller, observed_at }));
        const body = JSON.stringify({ instances: caller % 16 < 8 ? instances : instances.toReversed() });
        for (;;) {
          const response = await post(`${app.url}/ground-truth/batch`, body);
          const answer = (await response.json()) as BatchAnswer;
          // On a machine that is slow enough some are asked to come again, and may have been stored by then.
          if (response.status === 503) {
            refused += instances.length;
            continue;
          }
          expect(response.status).toBe(200);
          expect(answer.results).toHaveLength(1000);
          return answer.counts;
        }
      }),
    );
    const total = (result: string) => counts.reduce((sum, of) => sum + of[result]!, 0);
    expect(total('stored') + total('corrected') + total('superseded') + total('unchanged')).toBe(64_000);
    expect(total('stored')).toBeLessThanOrEqual(8_000);
    expect(total('stored')).toBeGreaterThanOrEqual(8_000 - refused);
    expect(total('unchanged')).toBeLessThanOrEqual(refused);
    const { sum } = await scrape(app.url);
    expect(sum('ridgeline_ground_truth_labels_total')).toBeGreaterThanOrEqual(64_000);
    expect(sum('ridgeline_ground_truth_labels_total')).toBeLessThanOrEqual(64_000 + refused);
    expect(sum('ridgeline_ground_truth_labels_total', '"stored"')).toBe(8_000);
    const stored = await app.database.query<{ actual: number; labels: number }>(
      'select actual, count(*)::int as labels from ground_truth group by actual order by actual',
    );
    expect(stored).toEqual(Array.from({ length: 8 }, (_, group) => ({ actual: 56 + group, labels: 1000 })));
  }, 120_000);
});

describe('a Postgres that takes no labels for a while', () => {
  test('holds up neither predictions nor probes; what there is no room for is refused, and the rest is answered', async () => {
    const app = await startTestApp({ ADMIN_PORT: '0' });
    try {
      const ids = await predict(app, 1_000);
      const body = JSON.stringify({ instances: ids.map((prediction_id) => ({ prediction_id, actual: 24 })) });
      const unlock = await lockLabels(app);
      const responses: Response[] = [];
      const send = () => post(`${app.url}/ground-truth/batch`, body);
      const sent = Array.from({ length: 104 }, async () => {
        const response = await send();
        responses.push(response);
        return response;
      });
      await eventually(async () => responses.length === 4);
      expect((await post(`${app.url}/predict`, articleRow)).status).toBe(200);
      for (const path of ['/livez', '/readyz', '/health']) expect((await fetch(app.url + path)).status).toBe(200);
      expect((await fetch(`${app.adminUrl}/pipelines`)).status).toBe(200);
      // Before its body is read.
      const late = await post(`${app.url}/ground-truth`, 'no JSON');
      expect(late.status).toBe(503);
      for (const response of [...responses, late]) {
        expect(response.headers.get('retry-after')).toBe('1');
        expect(await response.json()).toMatchObject({ type: 'urn:ridgeline:error:overloaded', status: 503 });
      }
      await unlock();
      await Promise.all(sent);
      const accepted = responses.slice(4);
      expect(accepted).toHaveLength(100);
      expect(accepted.map(({ status }) => status)).toContain(200);
      // A machine that does not take 100,000 labels in the 9 s that one may wait asks for the last of them again: there was room.
      for (const late of accepted.filter(({ status }) => status !== 200)) {
        const type = expect.stringMatching(/:(overloaded|database_unavailable)$/);
        expect(await late.json()).toMatchObject({ type, status: 503 });
        expect((await send()).status).toBe(200);
      }
      expect(await count(app, 'ground_truth')).toBe(1_000);
    } finally {
      await app.close();
    }
  }, 60_000);

  test('holds up no stop', async () => {
    const app = await startTestApp();
    const unlock = await lockLabels(app);
    const label = { prediction_id: v7(), actual: 1 };
    const asked = Array.from({ length: 6 }, () => post(`${app.url}/ground-truth`, label).catch(() => undefined));
    await eventually(async () => {
      const waiting = await app.database.query(
        `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      );
      return waiting.length === 4;
    });
    // Were the lock waited for, this would not end: it is held until then.
    await app.app.close();
    await unlock();
    await Promise.all(asked);
    await app.close();
  }, 60_000);
});

test('tables that cannot be used are told to operators once, and to callers until they can', async () => {
  const database = await createTestDatabase();
  const { log, lines } = createNotedLog();
  const clock = createSimulatedClock('2026-11-22T10:00:00Z');
  const groundTruth = createGroundTruth({ databaseUrl: database.url, predictionLog: 'spool', clock, log });
  const record = () =>
    groundTruth.record([{ predictionId: v7({ msecs: clock.now().getTime() }), actual: 1 }], clock.now());
  try {
    await database.query('alter table ground_truth rename to elsewhere');
    for (let i = 0; i < 3; i++) await expect(record()).rejects.toMatchObject({ code: 'database_unavailable' });
    await database.query('alter table elsewhere rename to ground_truth');
    expect(await record()).toEqual(['pending']);
    expect(lines).toMatchObject([
      {
        level: 'warn',
        message: 'labels cannot be stored; callers are told to send them again',
        fields: { reason: expect.stringContaining('"ground_truth" does not exist') },
      },
      { level: 'info', message: 'labels are stored again' },
    ]);
    expect(new Map(groundTruth.facts()).get('pending')).toBe(1);
  } finally {
    await groundTruth.close(1_000);
    await database.drop();
  }
});

test.each(['/ground-truth', '/ground-truth/batch'])(
  'with PREDICTION_LOG=off %s says that there is nothing to label',
  async (path) => {
    const app = await startTestApp({ PREDICTION_LOG: 'off' });
    try {
      const response = await post(app.url + path, { prediction_id: v7(), actual: 1 });
      expect(response.status).toBe(409);
      expect(await response.json()).toMatchObject({ type: 'urn:ridgeline:error:predictions_not_stored', status: 409 });
    } finally {
      await app.close();
    }
  },
);

test('the admin port takes a whole batch where labels are for operators, and counts them', async () => {
  const app = await startTestApp({ ADMIN_PORT: '0', GROUND_TRUTH: 'admin' });
  try {
    const instances = Array.from({ length: 1000 }, () => ({
      ...{ prediction_id: v7(), actual: 24.123456789012344, observed_at: '2026-11-22T10:00:00.000000000+01:00' },
    }));
    expect(JSON.stringify({ instances }).length).toBeGreaterThan(65_536);
    expect((await post(`${app.url}/ground-truth/batch`, { instances })).status).toBe(404);
    const response = await post(`${app.adminUrl}/ground-truth/batch`, { instances });
    expect(response.status).toBe(200);
    expect(((await response.json()) as BatchAnswer).counts.pending).toBe(1000);
    expect((await scrape(app.adminUrl!)).sum('ridgeline_ground_truth_labels_total', '"pending"')).toBe(1000);
  } finally {
    await app.close();
  }
});
