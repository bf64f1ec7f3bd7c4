import { describe, expect, test } from 'vitest';
import { describeHealth, describeSilence, type HealthFacts, type PredictionLogFacts } from '../src/health.ts';

const wellLog: PredictionLogFacts = {
  mode: 'spool',
  refusing: null,
  failuresInARow: 0,
  rows: 0,
  oldestAgeSeconds: null,
  bytes: 0,
  limitBytes: 1_000_000,
  deadLetters: 0,
  obstacle: null,
  lastError: null,
};
const well: HealthFacts = {
  databaseFault: null,
  servedVersion: 'v1',
  refusedVersion: null,
  alarms: [],
  predictionLog: wellLog,
};

const withLog = (log: Partial<PredictionLogFacts>): HealthFacts => ({ ...well, predictionLog: { ...wellLog, ...log } });
const judge = (...facts: [HealthFacts, ...HealthFacts[]]) => describeHealth({ facts, silences: [] });

describe('one process', () => {
  test('is ok without a reason, also with records set aside, a backlog that moves, and one failure', () => {
    const moving = withLog({ rows: 10, oldestAgeSeconds: 60, deadLetters: 3, failuresInARow: 1, lastError: 'cut' });
    for (const facts of [well, moving]) {
      expect(judge(facts)).toMatchObject({
        status: 'ok',
        predictionLog: 'ok',
        database: 'ok',
        model: 'ok',
        reasons: [],
      });
    }
  });

  test.each<[string, HealthFacts, object, RegExp]>([
    [
      'unavailable without a pipeline',
      { ...well, servedVersion: null },
      { status: 'unavailable', model: 'unavailable' },
      /npm run train/,
    ],
    [
      'unavailable while predictions are refused',
      withLog({ refusing: 'the disk is full' }),
      { status: 'unavailable', predictionLog: 'refusing' },
      /the disk is full\. Mend that, or Postgres/,
    ],
    [
      'degraded while the database is away',
      { ...well, databaseFault: 'it is read-only' },
      { status: 'degraded', database: 'unavailable', predictionLog: 'ok' },
      /it is read-only\. Bring it back/,
    ],
    [
      'degraded when records wait for more than a minute',
      withLog({ rows: 5, oldestAgeSeconds: 60.1 }),
      { status: 'degraded', predictionLog: 'behind' },
      /^5 answered predictions wait.* 60 s\. Postgres takes fewer/,
    ],
    [
      'degraded when the relay has failed twice in a row, however young the backlog is',
      withLog({ rows: 5, oldestAgeSeconds: 1, failuresInARow: 2, lastError: 'no such table' }),
      { status: 'degraded', predictionLog: 'behind' },
      /no such table\. Mend/,
    ],
    [
      'degraded when what an earlier start has left does not move, though nothing is stored now',
      withLog({ mode: 'off', rows: 5, oldestAgeSeconds: 90 }),
      { status: 'degraded', predictionLog: 'off' },
      /^5 answered predictions/,
    ],
    [
      'degraded when what a dead process has left cannot be read',
      withLog({ obstacle: '/spool/7: EACCES' }),
      { status: 'degraded', predictionLog: 'behind' },
      /cannot be taken over: .spool.7: EACCES\. Make it readable/,
    ],
    [
      'degraded with a refused version',
      { ...well, refusedVersion: { version: 'v2', reason: 'It is torn.' } },
      { status: 'degraded', servedVersion: 'v1' },
      /v2 .*It is torn\. Publish/,
    ],
  ])('is %s, and says why and what to do', (_name, facts, expected, reason) => {
    const health = judge(facts);
    expect(health).toMatchObject(expected);
    expect(health.reasons).toEqual([expect.stringMatching(reason)]);
    for (const text of health.reasons) expect(text).toMatch(/^[A-Z0-9].*[.]$/);
  });

  test('gives reasons that agree while predictions are refused and the database is away', () => {
    const full = 'The spool has reached its limit.';
    const log = { refusing: `${full}; Postgres: gone`, rows: 5, oldestAgeSeconds: 90, lastError: full };
    const { reasons } = judge({ ...withLog(log), databaseFault: 'gone' });
    expect(reasons).toEqual([
      expect.stringMatching(/^Predictions are refused.* gone\. Mend that, or Postgres; only a changed setting/),
      'The database cannot be used: gone. Bring it back.',
      expect.stringMatching(/^5 answered predictions wait.*limit\. Mend that; .* when Postgres takes them\.$/),
    ]);
  });

  test('leaves a statement to run as it is', () => {
    const lastError = 'run: alter table predictions add column "n" bigint;';
    const { reasons } = judge(withLog({ rows: 5, oldestAgeSeconds: 90, lastError }));
    expect(reasons[0]).toContain('"n" bigint; Mend that');
  });
});

test('a service none of whose workers answers is unavailable, and what only they know is not known', () => {
  expect(describeSilence({ mode: 'spool', databaseFault: null })).toMatchObject({
    status: 'unavailable',
    database: 'ok',
    model: 'unavailable',
    predictionLog: 'refusing',
    reasons: [expect.stringMatching(/^No worker answers/)],
    backlog: { rows: null, oldestAgeSeconds: null, bytes: null, limitBytes: null, deadLetters: null, lastError: null },
  });
  expect(describeSilence({ mode: 'off', databaseFault: 'gone' })).toMatchObject({
    database: 'unavailable',
    predictionLog: 'off',
  });
});

describe('several processes', () => {
  test('have their backlogs added up, their directory counted once, and the oldest record of all', () => {
    const log = { rows: 10, oldestAgeSeconds: 5, bytes: 900, deadLetters: 1 };
    const { backlog } = judge(withLog(log), withLog({ ...log, oldestAgeSeconds: 7, lastError: 'cut' }), well);
    expect(backlog).toEqual({
      rows: 20,
      oldestAgeSeconds: 7,
      bytes: 900,
      limitBytes: 1_000_000,
      deadLetters: 2,
      lastError: 'cut',
    });
  });

  test('are judged by the worst of them, and serve the version of the one that was asked', () => {
    const swapped = { ...well, servedVersion: 'v2' };
    expect(judge(well, swapped)).toMatchObject({ status: 'ok', servedVersion: 'v1' });
    expect(judge(well, { ...well, servedVersion: null })).toMatchObject({
      status: 'unavailable',
      model: 'unavailable',
    });
    expect(judge(well, withLog({ refusing: 'full' }))).toMatchObject({
      status: 'unavailable',
      predictionLog: 'refusing',
    });
    expect(judge(well, withLog({ oldestAgeSeconds: 61 }))).toMatchObject({
      status: 'degraded',
      predictionLog: 'behind',
    });
  });

  test('are degraded when one of them is silent', () => {
    const silences = ['The worker with process id 7 does not answer.'];
    expect(describeHealth({ facts: [well], silences })).toMatchObject({ status: 'degraded', reasons: silences });
  });
});
