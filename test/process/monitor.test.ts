import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { withAdvisoryLock } from '../../src/database/advisory-lock.ts';
import { createPool, type Pool, transaction } from '../../src/database/pool.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { createJobCounts } from '../../src/metrics/job-counts.ts';
import { startMonitoring } from '../../src/process/monitor.ts';
import { insertPipeline } from '../../src/registry/pipeline-versions.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { storePredictions, tellTruth } from '../support/housing-traffic.ts';
import { runsOf } from '../support/job-runs.ts';
import { createNotedLog, type NotedLog } from '../support/noted-log.ts';

const HOUR_MS = 3_600_000;
let database: TestDatabase;
let pool: Pool;
let noted: NotedLog;
beforeEach(async () => {
  database = await createTestDatabase();
  pool = createPool({ url: database.url, onError: () => undefined });
  noted = createNotedLog();
  const trained = trainPipeline(loadHousingDataset(), { contract: housing, alpha: 1, seed: 0 });
  const version = await transaction(pool, (client) => insertPipeline(client, trained, { now: new Date() }));
  const from = new Date(Date.now() - 5 * HOUR_MS);
  await tellTruth(pool, await storePredictions(pool, { version, from, rows: 40, everyMs: 1000 }), 1000);
});
afterEach(async () => {
  await pool.end();
  await database.drop();
});

const start = (jobs = createJobCounts()) =>
  startMonitoring({
    ...{ databaseUrl: database.url, clock: systemClock, shipped: housing, promotes: true, jobs, log: noted.log },
  });
const cells = async () => (await database.query('select from live_quality')).length;
const hours = async () => (await database.query("select from feature_histogram where feature = 'RM'")).length;

test('it runs at the start, on one connection, and counts its runs', async () => {
  const jobs = createJobCounts();
  const monitoring = start(jobs);
  await eventually(async () => (await cells()) > 0 && (await hours()) > 0 && 'monitoring_hourly ok' in runsOf(jobs));
  await monitoring.close();
  expect(noted.lines).toEqual([]);
  expect(runsOf(jobs)).toEqual({ 'monitoring_minutely ok': 1, 'monitoring_hourly ok': 1 });
  expect(jobs.samples().ridgeline_job_last_success_timestamp_seconds).toEqual([
    [['monitoring_minutely'], expect.any(Number)],
    [['monitoring_hourly'], expect.any(Number)],
  ]);
});

test('while another process is at it, it does nothing', async () => {
  const jobs = createJobCounts();
  await withAdvisoryLock(database.url, 'ridgeline_monitoring', { wait: true }, async () => {
    const monitoring = start(jobs);
    await eventually(
      async () =>
        (
          await database.query(
            "select from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
          )
        ).length > 0,
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    await monitoring.close();
  });
  expect(await cells()).toBe(0);
  expect(runsOf(jobs)).toEqual({});
  expect(jobs.samples().ridgeline_job_last_success_timestamp_seconds).toEqual([]);
});

test('what fails is told once, and counted', async () => {
  await database.query('alter table live_quality rename to other');
  const jobs = createJobCounts();
  const monitoring = start(jobs);
  await eventually(async () => noted.lines.length > 0);
  await monitoring.close();
  expect(noted.lines).toMatchObject([
    { level: 'warn', message: 'what became of predictions cannot be computed; it is tried again every minute' },
  ]);
  expect(runsOf(jobs)).toEqual({ 'monitoring_minutely failed': 1 });
  // Prometheus sees no increase in what begins at 1.
  expect(jobs.samples().ridgeline_job_runs_total).toContainEqual([['retraining', 'failed'], 0]);
});
