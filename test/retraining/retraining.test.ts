import { afterEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Contract } from '../../src/contract/contract.ts';
import { createJobCounts } from '../../src/metrics/job-counts.ts';
import { alternativesOf } from '../../src/retraining/cron-alternatives.ts';
import { startRetraining, type Training } from '../../src/retraining/retraining.ts';
import { everyType, wines } from '../support/declaration.ts';
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
      decision = 'promoted',
    }: { onTrain?: () => Promise<void>; served?: Contract; holdsFrom?: number; decision?: Training['decision'] } = {},
  ) {
    vi.useFakeTimers({ now: new Date('2027-01-01T00:00:30Z') });
    const slots: string[] = [];
    const outcomes: unknown[][] = [];
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
          if (text.startsWith('insert into retraining')) slots.push((values![0] as Date).toISOString().slice(0, 16));
          if (text.startsWith('update retraining set finished_at = $1')) return { rows: [] };
          if (text.startsWith('update retraining')) outcomes.push(values!.slice(1, 4));
          if (text.startsWith('select promotion_id')) return { rows: ++looks >= holdsFrom ? [rollBack] : [] };
          if (text.includes('lag(')) return { rows: [rollBack] };
          if (text.includes('as declaration_bytes'))
            return { rows: [{ declaration: served.declaration, declaration_bytes: 1 }] };
          return { rows: text.startsWith('insert') ? [{}] : [] };
        },
      },
      shipped: wines,
      exclusively: (work) => work(),
      async train() {
        await onTrain();
        return { version: '2027_01_01__00_00_00', decision, reason: 'a word' };
      },
      log,
    });
    await vi.advanceTimersByTimeAsync(days * day);
    await retraining.close();
    return { slots, outcomes, logged: messages(), runs: jobs.samples().ridgeline_job_runs_total };
  }

  test('takes each day that is the first, the fifteenth or a Monday, once', async () => {
    const { slots } = await slotsOf('0 3 1,15 * 1', 60);
    // By the calendar: Mondays are the 4th, 11th, 18th and 25th of January, and in February the 1st is one of them.
    const days = ['01-01', '01-04', '01-11', '01-15', '01-18', '01-25', '02-01', '02-08', '02-15', '02-22', '03-01'];
    expect(slots).toEqual(days.map((monthAndDay) => `2027-${monthAndDay}T03:00`));
  });

  test('takes a Monday of every second day only where a star says "and"', async () => {
    const { slots } = await slotsOf('0 3 */2 * 1', 30);
    expect(slots).toEqual(['2027-01-11T03:00', '2027-01-25T03:00']);
  });

  test('skips what is due while a run has not ended, also when the other field names it', async () => {
    const fiveDays = () => new Promise<void>((resolve) => setTimeout(resolve, 5 * day));
    const { slots, logged } = await slotsOf('0 3 1 * 1', 9, { onTrain: fiveDays });
    expect(slots).toEqual(['2027-01-01T03:00']);
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

  const hold = expect.stringMatching(
    /^Scheduled trainings hold, as pipelines has rolled back to v1 \(2027-01-01 01:02 UTC: too high\)\. .* resume/,
  );

  test('trains nothing while a person has chosen what is served, and says who', async () => {
    let trainings = 0;
    const { outcomes, logged } = await slotsOf('0 3 * * *', 1, { holdsFrom: 1, onTrain: async () => void trainings++ });
    expect(trainings).toBe(0);
    expect(outcomes).toEqual([['held', null, hold]]);
    expect(logged).toContain('retraining holds, as a person has chosen what is served');
  });

  test('ends as the training says: promoted, published, or held where somebody has chosen meanwhile', async () => {
    const version = '2027_01_01__00_00_00';
    const outcome = async (decision: Training['decision'], holdsFrom = 99) =>
      (await slotsOf('0 3 * * *', 1, { decision, holdsFrom })).outcomes;
    expect((await slotsOf('0 3 * * *', 2)).runs).toEqual([[['retraining', 'ok'], 2]]);
    expect(await outcome('promoted')).toEqual([['promoted', version, null]]);
    expect(await outcome('not_promoted')).toEqual([['published', version, 'a word']]);
    expect(await outcome('held', 2)).toEqual([['held', version, hold]]);
  });
});
