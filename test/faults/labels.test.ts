/** Labels whose service is killed, or whose Postgres goes away, while they are sent: what was answered 200 or 202 is stored. */
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { inForm } from './form.ts';
import { type SentLabel, startLabelLoad } from './label-load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';

const CONNECTIONS = 16;

/** Of what was answered: whether it is there, once, as it was sent. */
async function compareWithStored({ database }: Service, labels: readonly SentLabel[]) {
  const [result] = await database.query<{ expected: number; found: number; duplicates: number; different: number }>(
    `with answered as (select * from unnest($1::uuid[], $2::float8[]) as answered (id, actual)),
     stored as (
       select prediction_id as id, count(*) as copies, min(actual) as actual, min(revision) as revision
       from ground_truth group by prediction_id
     )
     select (select count(*) from answered)::int as expected, count(stored.id)::int as found,
       (select coalesce(sum(copies - 1), 0) from stored)::int as duplicates,
       (count(*) filter (where (stored.actual, stored.revision) is distinct from (answered.actual, 1)
         and stored.id is not null))::int as different
     from answered left join stored using (id)`,
    [labels.map(({ id }) => id), labels.map(({ actual }) => actual)],
  );
  return result!;
}

describe('kill -9 in the midst of labels', () => {
  test.each([
    { form: '1 a request', batchRows: 1, rounds: inForm(2, 10), settings: {} },
    { form: '200 a request', batchRows: 200, rounds: inForm(2, 10), settings: {} },
    { form: 'on the admin port', batchRows: 200, rounds: inForm(1, 5), settings: { GROUND_TRUTH: 'admin' } },
    { form: 'two workers', batchRows: 200, rounds: inForm(1, 5), settings: { WORKERS: '2' } },
  ])('loses none that was answered: $form, $rounds rounds', async ({ form, batchRows, rounds, settings }) => {
    const service = await prepareService({ settings });
    const labels: SentLabel[] = [];
    let requests = 0;
    for (let round = 0; round < rounds; round++) {
      const { url, adminUrl } = await service.start();
      const labelUrl = 'GROUND_TRUTH' in settings ? adminUrl! : url;
      const load = startLabelLoad({ url, labelUrl, connections: CONNECTIONS, batchRows });
      await eventually(async () => load.labels.length > 1, 30_000);
      await delay(randomInt(inForm(1000, 2500)));
      await service.kill();
      await load.stop();
      expect(load.refusals).toEqual([]);
      labels.push(...load.labels);
      requests += load.requests();
    }
    const stored = await compareWithStored(service, labels);
    reportFault({
      fault: `kill -9 in the midst of labels, ${form}, ${rounds} rounds`,
      load: `${CONNECTIONS} connections, closed loop`,
      requests,
      failures: 0,
      stored,
    });
    expect(labels.length).toBeGreaterThan(rounds);
    expect(stored).toEqual({ expected: labels.length, found: labels.length, duplicates: 0, different: 0 });
  });
});

describe('Postgres away in the midst of labels', () => {
  test.each(['refuse', 'black hole', 'cut at commit', 'cut mid-message'] as const)(
    'callers who send them again lose none: %s',
    async (mode) => {
      const service = await prepareService();
      const { url } = await service.start();
      const load = startLabelLoad({ url, labelUrl: url, connections: CONNECTIONS, batchRows: 50 });
      await eventually(async () => load.labels.length > 500);
      await service.proxy.set(mode);
      await eventually(async () => load.refusals.length > 0, 30_000);
      await delay(inForm(1_000, 10_000));
      await service.proxy.set('pass');
      const before = load.labels.length;
      await eventually(async () => load.labels.length > before + 500, 30_000);
      await load.stop();
      const stored = await compareWithStored(service, load.labels);
      reportFault({
        fault: `Postgres away in the midst of labels: ${mode}`,
        load: `${CONNECTIONS} connections, 50 labels a request, sent again until they are answered`,
        requests: load.requests(),
        failures: load.refusals.length,
        stored,
      });
      // A 503 that says when to come again, and nothing else; predictions are answered all the while.
      expect(new Set(load.refusals)).toEqual(new Set(['503 database_unavailable']));
      expect(load.failedPredictions()).toBe(0);
      const labels = load.labels.length;
      expect(stored).toEqual({ expected: labels, found: labels, duplicates: 0, different: 0 });
    },
  );
});
