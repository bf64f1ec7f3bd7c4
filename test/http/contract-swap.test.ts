/** Two servers under load, whose pipeline is replaced by one of another contract, and by one of the first again. */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { bothWays, startTestApp } from '../support/app.ts';
import { callWhile, expectStored, type Trained, trainContracts } from '../support/contract-load.ts';

const known = trainContracts();

describe.each(bothWays)('%s', (_way, options) => {
  test.for(['spool', 'sync'])(
    'every answer is right by its own contract, and stored in its columns: %s',
    { timeout: 90_000 },
    async (mode) => {
      const settings = { PREDICTION_LOG: mode };
      const first = await startTestApp(settings, { ...options, publishesFirst: false });
      const second = await startTestApp(settings, { ...options, publishesFirst: false, beside: first });
      const published = new Map<string, Trained>();
      // Known before any server can answer with it.
      const publish = (trained: Trained) =>
        first.publish(trained.pipeline, (version) => published.set(version, trained));
      const initial = await publish(known[0]!);
      await expect.poll(() => second.app.served()).toBeDefined();
      const answered = await callWhile([first.url, second.url], known, published, async (isServed) => {
        await isServed(initial);
        for (const trained of [known[1]!, known[0]!, known[1]!, known[0]!]) {
          await isServed(await publish(trained));
          await delay(200);
        }
      });
      expect(new Set([...answered.values()].map(({ version }) => version))).toEqual(new Set(published.keys()));
      await expectStored(first.database, answered);
      await second.close();
      await first.close();
    },
  );
});
