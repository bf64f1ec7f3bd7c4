import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bothWays, startTestApp, type TestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { articleRow, type ProblemAnswer, post } from '../support/requests.ts';

describe.each(bothWays)('%s', (_way, options) => {
  let app: TestApp;
  beforeAll(async () => {
    // In this mode an answer waits for Postgres, so a lock there fills the queue here.
    app = await startTestApp({ PREDICTION_LOG: 'sync' }, options);
  });
  afterAll(() => app.close());

  test('refuses what there is no room for with 503 and Retry-After, and answers the rest', async () => {
    const locker = new Client({ connectionString: app.database.url });
    await locker.connect();
    await locker.query('begin; lock table predictions in access exclusive mode');
    const body = JSON.stringify({ instances: Array(1000).fill(articleRow) });
    const statuses: number[] = [];
    const refused: Response[] = [];
    const requests = Array.from({ length: 40 }, async () => {
      const response = await post(`${app.url}/predict/batch`, body);
      statuses.push(response.status);
      if (response.status === 503) refused.push(response);
      else await response.arrayBuffer();
    });
    await eventually(async () => refused.length > 0);
    expect((await fetch(`${app.url}/livez`)).status).toBe(200);
    await locker.query('rollback');
    await locker.end();
    await Promise.all(requests);
    const answered = statuses.filter((status) => status === 200).length;
    expect(answered).toBeGreaterThan(0);
    expect(answered + refused.length).toBe(40);
    expect(refused[0]!.headers.get('retry-after')).toMatch(/^\d+$/);
    const problem = (await refused[0]!.json()) as ProblemAnswer;
    expect(problem.type).toBe('urn:ridgeline:error:overloaded');
    expect(await app.database.query('select count(*)::int as rows from predictions')).toEqual([
      { rows: answered * 1000 },
    ]);
    expect((await post(`${app.url}/predict`, articleRow)).status).toBe(200);
  });

  test('takes small batches beside each other where very large ones are allowed', async () => {
    const large = await startTestApp({ MAX_BATCH_ROWS: '100000' }, options);
    try {
      const body = JSON.stringify({ instances: Array(100).fill(articleRow) });
      const caller = async () => {
        const statuses: number[] = [];
        for (let i = 0; i < 10; i++) statuses.push((await post(`${large.url}/predict/batch`, body)).status);
        return statuses;
      };
      const statuses = await Promise.all(Array.from({ length: 16 }, caller));
      expect(statuses.flat().filter((status) => status !== 200)).toEqual([]);
    } finally {
      await large.close();
    }
  });
});
