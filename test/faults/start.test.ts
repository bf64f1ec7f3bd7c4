/** What is survived at run time is survived at a start, at any moment of it, and at a worker's start too. */
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/server.ts';
import { inForm, isShort } from './form.ts';
import { runLoad } from './load.ts';
import { reportFault } from './report.ts';
import { prepareService, type Service } from './service.ts';
import { compareWithStored, expectNothingLost, storedWithin } from './verification.ts';

describe('the database goes away in the middle of a start', { concurrent: isShort }, () => {
  const moments = [0, 1, 2, 3, 4, 5, 6].flatMap((connections) =>
    inForm([1], [1, 2]).map((workers) => ({ connections, workers })),
  );
  it.for([...moments, { connections: 1, workers: 3 }])(
    'after $connections connections, with $workers workers: starts all the same, and is ready once it is back',
    async ({ connections, workers }, { onTestFinished }) => {
      const service = await prepareService({ onTestFinished, settings: { WORKERS: String(workers) } });
      service.proxy.admit(connections);
      await service.start();
      expect(await service.statusOf('/livez')).toBe(200);
      const readyAtOnce = (await service.statusOf('/readyz')) === 200;
      await service.proxy.set('refuse');
      await service.proxy.set('pass');
      await becomesGood(service, `database away after ${connections} connections of a start, ${workers} workers`, {
        note: readyAtOnce ? '/readyz 200 meanwhile' : '/readyz 503 meanwhile',
      });
    },
  );
});

async function becomesGood(service: Service, fault: string, { note }: { note: string }): Promise<void> {
  const backAt = Date.now();
  await eventually(async () => (await service.statusOf('/readyz')) === 200, 20_000);
  const recoverySeconds = (Date.now() - backAt) / 1000;
  const load = await runLoad({ url: service.server.url, connections: 4 }, inForm(300, 2_000));
  await storedWithin(service.database, load.answers, 30_000);
  const stored = await compareWithStored(service.database, load.answers);
  reportFault({
    fault,
    load: '4 connections afterwards',
    requests: load.requests(),
    failures: load.failures.length,
    rowsExpected: stored.expected,
    rowsFound: stored.found,
    duplicates: stored.duplicates,
    recoverySeconds,
    note,
  });
  expect(load.failures.slice(0, 3)).toEqual([]);
  expectNothingLost(stored);
}
