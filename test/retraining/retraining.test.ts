import { afterEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Contract } from '../../src/contract/contract.ts';
import { createJobCounts } from '../../src/metrics/job-counts.ts';
import { alternativesOf } from '../../src/retraining/cron-alternatives.ts';
import { startRetraining, type Training } from '../../src/retraining/retraining.ts';
import { everyType, wines } from '../support/declaration.ts';
import { runsOf } from '../support/job-runs.ts';
import { createNotedLog } from '../support/noted-log.ts';

describe('day of month and day of week', () => {
  test.each([
    ['0 3 1,15 * 1', ['0 3 1,15 * *', '0 3 * * 1']],
    ['*/5 3-5 1-7 jan,feb mon-wed', ['*/5 3-5 1-7 jan,feb *', '*/5 3-5 * jan,feb mon-wed']],
    ['0 3 1-31 * 0', ['0 3 1-31 * *', '0 3 * * 0']],
    ['0  3 1 * 7', ['0 3 1 * *', '0 3 * * 7']],
  ])('of %s are either, as both are restricted', (cron, alternatives) => {
    expect(alternativesOf(cron)).toEqual(alternatives);
  });

  test.each([
    '* * * * *',
    '0 3 * * *',
    '0 3 1 * *',
    '0 3 * * 1',
    '0 3 */2 * 1',
    '0 3 1 * */2',
    '0 3 ? * 1',
    '0 3 1 * ?',
  ])('of %s are both, as one of them is not', (cron) => {
    expect(alternativesOf(cron)).toEqual([cron]);
  });
});

describe('the schedule', () => {
  const day = 24 * 3600 * 1000;
  afterEach(() => vi.useRealTimers());

  /** The slots that are claimed in so many days from the first of the year 2027, a Friday, and what the log says. */
  async function slotsOf(
    cron: string,
    days: number,
    {
      onTrain = async () => {},
      served = wines,
      holdsFrom = 99,
      lostClaims = 0,
      decision = 'promoted',
      version = '2027_01_01__00_00_00',
      newest = null,
      beforehand = () => {},
    }: {
      onTrain?: (signal: AbortSignal) => Promise<void>;
      served?: Contract;
      holdsFrom?: number;
      lostClaims?: number;
      decision?: Training['decision'];
      version?: string | null;
      newest?: Date | null;
      beforehand?: () => void;
    } = {},
  ) {
    vi.useFakeTimers({ now: new Date('2027-01-01T00:00:30Z') });
    const slots: string[] = [];
    const outcomes: unknown[][] = [];
    const missed: string[] = [];
    const { log, messages } = createNotedLog();
    let looks = 0;
    const rollBack = {
      ...{ promotion_id: '2', pipeline_version: 'v1', version: 'v1', previous: 'v2', action: 'rollback' },
      ...{ promoted_at: new Date('2027-01-01T01:02:03Z'), promoted_by: 'pipelines', reason: 'too high' },
    };
    const jobs = createJobCounts();
    const retraining = startRetraining({
      jobs,
      clock: systemClock,
      cron,
      // The tables as these statements see them: what is claimed here is nobody else's.
      database: {
        async query(text, values) {
          if (text.includes("'missed'")) {
            const named = (values![0] as Date[]).map((slot) => slot.toISOString().slice(0, 16));
            const free = named.filter((slot) => !slots.includes(slot) && !missed.includes(slot));
            missed.push(...free);
            return { rows: free.map(() => ({})) };
          }
          if (text.startsWith('insert into retraining') && lostClaims-- > 0) throw new Error('it is away');
          if (text.startsWith('insert into retraining')) slots.push((values![0] as Date).toISOString().slice(0, 16));
          if (text.startsWith('update retraining set finished_at = $1')) return { rows: [] };
          if (text.startsWith('update retraining')) outcomes.push(values!.slice(1, 4));
          if (text.startsWith('select promotion_id')) return { rows: ++looks >= holdsFrom ? [rollBack] : [] };
          if (text.includes('lag(')) return { rows: [rollBack] };
          if (text.includes('as declaration_bytes'))
            return { rows: [{ declaration: served.declaration, declaration_bytes: 1 }] };
          if (text.startsWith('select slot, cron')) return { rows: newest ? [{ slot: newest, cron }] : [] };
          return { rows: text.startsWith('insert') ? [{}] : [] };
        },
      },
      shipped: wines,
      data: 'shipped',
      exclusively: (work) => work(),
      async train({ signal }) {
        await onTrain(signal);
        return { version, decision, reason: 'a word', gate: null, ...(version === null && { detail: 'no rows' }) };
      },
      log,
    });
    await vi.advanceTimersByTimeAsync(0);
    beforehand();
    await vi.advanceTimersByTimeAsync(days * day);
    await retraining.close();
    return { slots, missed, outcomes, logged: messages(), runs: runsOf(jobs) };
  }

  test('takes each day that is the first, the fifteenth or a Monday, once', async () => {
    const { slots } = await slotsOf('0 3 1,15 * 1', 60);
    // By the calendar: Mondays are the 4th, 11th, 18th and 25th of January, and in February the 1st is one of them.
    const days = ['01-01', '01-04', '01-11', '01-15', '01-18', '01-25', '02-01', '02-08', '02-15', '02-22', '03-01'];
    expect(slots).toEqual(days.map((monthAndDay) => `2027-${monthAndDay}T03:00`));
  });

  test('records what was missed since the newest run under the same fields, and says so once', async () => {
    const newest = new Date('2026-12-28T03:00:00Z');
    const { slots, missed, logged } = await slotsOf('0 3 * * *', 2, { newest });
    expect(missed).toEqual(['2026-12-29T03:00', '2026-12-30T03:00', '2026-12-31T03:00']);
    expect(slots).toEqual(['2027-01-01T03:00', '2027-01-02T03:00']);
    expect(logged.filter((message) => message.startsWith('retrainings were missed'))).toHaveLength(1);
  });

  test('records nothing where no run is known under these fields', async () => {
    expect((await slotsOf('0 3 * * *', 2)).missed).toEqual([]);
  });

  test('records a slot in which the database went away before it could be taken', async () => {
    const { slots, missed, logged } = await slotsOf('0 3 * * *', 2, { lostClaims: 1 });
    expect(logged).toContain('retraining is skipped: the database cannot be used');
    expect(slots).toEqual(['2027-01-02T03:00']);
    expect(missed).toEqual(['2027-01-01T03:00']);
  });

  test('records what the machine has slept through when it wakes', async () => {
    const { slots, missed } = await slotsOf('0 3 * * *', 1, {
      // The clock goes on while no timer does.
      beforehand: () => vi.setSystemTime(new Date('2027-01-03T12:00:00Z')),
    });
    expect(missed).toEqual(['2027-01-01T03:00', '2027-01-02T03:00', '2027-01-03T03:00']);
    expect(slots).toEqual(['2027-01-04T03:00']);
  });

  test('takes a Monday of every second day only where a star says "and"', async () => {
    const { slots } = await slotsOf('0 3 */2 * 1', 30);
    expect(slots).toEqual(['2027-01-11T03:00', '2027-01-25T03:00']);
  });

  test('skips what is due while a run has not ended, also when the other field names it', async () => {
    const fiveDays = () => new Promise<void>((resolve) => setTimeout(resolve, 5 * day));
    const { slots, missed, logged } = await slotsOf('0 3 1 * 1', 9, { onTrain: fiveDays });
    expect(slots).toEqual(['2027-01-01T03:00']);
    expect(missed).toContain('2027-01-04T03:00');
    expect(logged).toContain('retraining is skipped: the run before it has not ended');
  });

  test('trains nothing where what is served takes other rows than those that ship, and says what to do', async () => {
    let trainings = 0;
    const { outcomes, logged } = await slotsOf('0 3 * * *', 2, {
      served: everyType,
      onTrain: async () => void trainings++,
    });
    expect(trainings).toBe(0);
    const sentence = expect.stringMatching(
      /takes rows of test; the rows that ship are of test.* npm run train -- --data FILE/,
    );
    expect(outcomes).toEqual([
      ['failed', null, sentence],
      ['failed', null, sentence],
    ]);
    expect(logged).toContain('retraining failed; what is served stays');
  });

  test('ends a training that hangs, and says so', async () => {
    const hangs = (signal: AbortSignal) =>
      new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    const { outcomes, runs } = await slotsOf('0 3 * * *', 1, { onTrain: hangs });
    expect(outcomes).toEqual([['failed', null, 'It had not ended after 15 minutes, and was killed.']]);
    expect(runs).toEqual({ 'retraining failed': 1 });
  });

  const hold = expect.stringMatching(
    /^Scheduled trainings hold, as pipelines has rolled back to v1 \(2027-01-01 01:02 UTC: too high\)\. .* resume/,
  );

  test('trains nothing while a person has chosen what is served, and says who', async () => {
    let trainings = 0;
    const { outcomes, logged } = await slotsOf('0 3 * * *', 1, { holdsFrom: 1, onTrain: async () => void trainings++ });
    expect(trainings).toBe(0);
    expect(outcomes).toEqual([['held', null, hold]]);
    expect(logged).toContain('retraining holds, and trains nothing');
  });

  test('waits for truths where there are no other rows: nothing fails', async () => {
    const { outcomes, logged, runs } = await slotsOf('0 3 * * *', 1, { decision: 'held', version: null });
    expect(outcomes).toEqual([['held', null, 'no rows']]);
    expect(logged).toContain('retraining holds, and trains nothing');
    expect(runs).toEqual({ 'retraining ok': 1 });
  });

  test('ends as the training says: promoted, published, or held where somebody has chosen meanwhile', async () => {
    const version = '2027_01_01__00_00_00';
    const outcome = async (decision: Training['decision'], holdsFrom = 99) =>
      (await slotsOf('0 3 * * *', 1, { decision, holdsFrom })).outcomes;
    expect((await slotsOf('0 3 * * *', 2)).runs).toEqual({ 'retraining ok': 2 });
    expect(await outcome('promoted')).toEqual([['promoted', version, null]]);
    expect(await outcome('not_promoted')).toEqual([['published', version, 'a word']]);
    expect(await outcome('held', 2)).toEqual([['held', version, hold]]);
  });
});
