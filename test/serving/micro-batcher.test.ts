import { setImmediate as endOfTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMicroBatcher } from '../../src/serving/micro-batcher.ts';

interface Job {
  id: number;
  size: number;
  kind: string;
}
type Answers = (string | Error)[];

/** The batcher has gone on with what waits, and the turn in which it did so is over for it too. */
async function afterwards(): Promise<void> {
  await endOfTurn();
  await endOfTurn();
}

/** A batcher whose runs end when the test says so. */
function controlled({ maxRunSize = 100, maxPendingSize = 1000 } = {}) {
  const runs: { jobs: number[]; end: (answers?: Answers) => Promise<void>; fail: (error: Error) => Promise<void> }[] =
    [];
  const waits: number[] = [];
  const batcher = createMicroBatcher<Job, string>({
    runBatch: (jobs) =>
      new Promise((resolve, reject) => {
        runs.push({
          jobs: jobs.map(({ id }) => id),
          async end(answers = jobs.map(({ id }) => `answer ${id}`)) {
            resolve(answers);
            await afterwards();
          },
          async fail(error) {
            reject(error);
            await afterwards();
          },
        });
      }),
    sizeOf: ({ size }) => size,
    mayShareRun: (first, later) => first.kind === later.kind,
    maxRunSize,
    maxPendingSize,
    waited: (seconds) => waits.push(seconds),
    refuse: () => new Error('refused'),
  });
  return { batcher, runs, waits, submit: (id: number, size = 1, kind = 'one') => batcher.submit({ id, size, kind }) };
}

test('jobs of one turn of the event loop share a run', async () => {
  const { runs, submit } = controlled();
  const answers = Promise.all([submit(1), submit(2), Promise.resolve().then(() => submit(3))]);
  await endOfTurn();
  expect(runs.map(({ jobs }) => jobs)).toEqual([[1, 2, 3]]);
  await runs[0]!.end();
  expect(await answers).toEqual(['answer 1', 'answer 2', 'answer 3']);
});

test('of each job it is told how long it has waited for its run, not how long that took', async () => {
  const { runs, waits, submit } = controlled();
  const answers = Promise.all([submit(1), submit(2)]);
  expect(waits).toEqual([]);
  const startedAt = performance.now();
  while (performance.now() - startedAt < 3);
  await endOfTurn();
  expect(waits).toHaveLength(2);
  for (const seconds of waits) expect(seconds).toBeGreaterThanOrEqual(0.003);
  await runs[0]!.end();
  await answers;
  expect(waits).toHaveLength(2);
});

test('a lone job runs alone at the end of its turn', async () => {
  const { runs, submit } = controlled();
  const answer = submit(1);
  expect(runs).toHaveLength(0);
  await endOfTurn();
  expect(runs.map(({ jobs }) => jobs)).toEqual([[1]]);
  await runs[0]!.end();
  expect(await answer).toBe('answer 1');
});

test('jobs that arrive during a run do not wait for it, however long it hangs', async () => {
  const { runs, submit } = controlled();
  const first = submit(1);
  await endOfTurn();
  const second = submit(2);
  const third = submit(3);
  await endOfTurn();
  expect(runs.map(({ jobs }) => jobs)).toEqual([[1], [2, 3]]);
  await runs[1]!.end();
  expect(await Promise.all([second, third])).toEqual(['answer 2', 'answer 3']);
  await runs[0]!.end();
  expect(await first).toBe('answer 1');
});

test('a batch is closed before its rows pass the limit, and no job is split', async () => {
  const { runs, submit } = controlled({ maxRunSize: 10 });
  const answers = Promise.all([submit(1, 4), submit(2, 6), submit(3, 1), submit(4, 10), submit(5, 3)]);
  await endOfTurn();
  for (let run = 0; run < 4; run++) await runs[run]!.end();
  expect(runs.map(({ jobs }) => jobs)).toEqual([[1, 2], [3], [4], [5]]);
  expect(await answers).toHaveLength(5);
});

test('batches run side by side', async () => {
  const { runs, submit } = controlled({ maxRunSize: 10 });
  const answers = [submit(1, 6), submit(2, 6), submit(3, 6)];
  await endOfTurn();
  expect(runs.map(({ jobs }) => jobs)).toEqual([[1], [2], [3]]);
  await runs[1]!.end();
  expect(await answers[1]).toBe('answer 2');
  const later = submit(4);
  await endOfTurn();
  expect(runs).toHaveLength(4);
  for (const run of [0, 2, 3]) await runs[run]!.end();
  expect(await Promise.all([...answers, later])).toEqual(['answer 1', 'answer 2', 'answer 3', 'answer 4']);
});

test('a job larger than a batch runs alone', async () => {
  const { runs, submit } = controlled({ maxRunSize: 10 });
  const answers = Promise.all([submit(1, 1), submit(2, 11), submit(3, 1)]);
  await endOfTurn();
  for (let run = 0; run < 3; run++) await runs[run]!.end();
  expect(runs.map(({ jobs }) => jobs)).toEqual([[1], [2], [3]]);
  await answers;
});

test('a job for which there is no room is refused at once, and a smaller one is still taken', async () => {
  const { runs, submit } = controlled({ maxPendingSize: 10 });
  const answers = Promise.all([submit(1, 6), submit(3, 4)]);
  await expect(submit(2, 5)).rejects.toThrow('refused');
  await expect(submit(4, 1)).rejects.toThrow('refused');
  await endOfTurn();
  await runs[0]!.end();
  expect(runs.map(({ jobs }) => jobs)).toEqual([[1, 3]]);
  await answers;
});

test('rows count as pending until they are settled, failed ones too', async () => {
  const { runs, submit } = controlled({ maxPendingSize: 10 });
  const answers = [submit(1, 4)];
  await endOfTurn();
  answers.push(submit(2, 6));
  await expect(submit(3, 1)).rejects.toThrow('refused');
  await endOfTurn();
  await expect(submit(3, 1)).rejects.toThrow('refused');
  await runs[0]!.end();
  answers.push(submit(4, 4));
  await expect(submit(5, 1)).rejects.toThrow('refused');
  const broken = answers[1]!.catch(({ message }: Error) => message);
  await runs[1]!.fail(new Error('broken'));
  answers[1] = submit(6, 6);
  await endOfTurn();
  for (const run of [2, 3]) await runs[run]!.end();
  expect(runs.map(({ jobs }) => jobs)).toEqual([[1], [2], [4], [6]]);
  expect(await Promise.all([...answers, broken])).toEqual(['answer 1', 'answer 6', 'answer 4', 'broken']);
});

test('a job larger than all that may be pending is taken where nothing is', async () => {
  const { runs, submit } = controlled({ maxPendingSize: 10 });
  const answer = submit(1, 50);
  await endOfTurn();
  await runs[0]!.end();
  expect(await answer).toBe('answer 1');
});

test('an Error in the place of a job rejects that job alone', async () => {
  const { runs, submit } = controlled();
  const settled = Promise.allSettled([submit(1), submit(2), submit(3)]);
  await endOfTurn();
  await runs[0]!.end(['one', new Error('not this one'), 'three']);
  expect(await settled).toEqual([
    { status: 'fulfilled', value: 'one' },
    { status: 'rejected', reason: new Error('not this one') },
    { status: 'fulfilled', value: 'three' },
  ]);
});

test('a run that rejects rejects its batch alone, and others are still run', async () => {
  const { runs, submit } = controlled();
  const failed = Promise.allSettled([submit(1), submit(2)]);
  await endOfTurn();
  const waiting = submit(3);
  await runs[0]!.fail(new Error('broken'));
  expect((await failed).map((result) => result.status === 'rejected' && result.reason.message)).toEqual([
    'broken',
    'broken',
  ]);
  await runs[1]!.end();
  expect(await waiting).toBe('answer 3');
  const later = submit(4);
  await endOfTurn();
  await runs[2]!.end();
  expect(await later).toBe('answer 4');
});

test('jobs that may not share a run follow each other in runs of their own', async () => {
  const { runs, submit } = controlled();
  const jobs = [submit(1), submit(2), submit(3, 1, 'other'), submit(4, 1, 'other'), submit(5)];
  const settled = Promise.allSettled(jobs);
  await endOfTurn();
  expect(runs.map(({ jobs }) => jobs)).toEqual([[1, 2], [3, 4], [5]]);
  await runs[1]!.fail(new Error('broken'));
  for (const run of [runs[0]!, runs[2]!]) await run.end();
  expect((await settled).map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'rejected',
    'fulfilled',
  ]);
});

test('a run that throws before its promise exists rejects its batch as well', async () => {
  const batcher = createMicroBatcher<number, number>({
    runBatch: ([job]) => {
      if (job === 1) throw new Error('thrown');
      return Promise.resolve([job!]);
    },
    mayShareRun: () => true,
    sizeOf: () => 1,
    maxRunSize: 1,
    maxPendingSize: 10,
    waited: () => undefined,
    refuse: () => new Error('refused'),
  });
  const settled = await Promise.allSettled([batcher.submit(1), batcher.submit(2)]);
  expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
});

test('drain waits for those who run and those who wait, and for nothing when there are none', async () => {
  const { batcher, runs, submit } = controlled({ maxRunSize: 1 });
  await batcher.drain();
  const events: string[] = [];
  const note = (event: string) => () => void events.push(event);
  const jobs = [submit(1).then(note('first')), submit(2).catch(note('second failed'))];
  const drained = [batcher.drain().then(note('drained')), batcher.drain().then(note('drained'))];
  await endOfTurn();
  await runs[0]!.end();
  expect(events).toEqual(['first']);
  await runs[1]!.fail(new Error('broken'));
  await Promise.all([...jobs, ...drained]);
  expect(events).toEqual(['first', 'second failed', 'drained', 'drained']);
  await batcher.drain();
});

/** What a caller may do to a batcher, and what the function that runs batches may do. */
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('submit' as const),
      size: fc.integer({ min: 1, max: 12 }),
      kind: fc.constantFrom('one', 'one', 'one', 'other'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('end the turn' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('end the run' as const), refusedPlace: fc.option(fc.nat({ max: 3 })) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail the run' as const) }) },
);

test('whatever happens in whatever order, it behaves as its description', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const limits = { maxRunSize: 10, maxPendingSize: 20 };
      const { batcher, runs, submit } = controlled(limits);
      const outcomes: Promise<string>[] = [];

      // The description, as simple as it can be said: a line of jobs, which goes under way whole, cut into batches, at the
      // end of a turn.
      let line: Job[] = [];
      let underWay: Job[][] = [];
      let ended = 0;
      const expectedRuns: number[][] = [];
      const expectedOutcomes: string[] = [];
      const sizeOf = (jobs: Job[]) => jobs.reduce((sum, { size }) => sum + size, 0);
      function startRuns(): void {
        while (line.length > 0) {
          let count = 1;
          const fits = (more: Job[]) =>
            sizeOf(more) <= limits.maxRunSize && more.every(({ kind }) => kind === line[0]!.kind);
          while (count < line.length && fits(line.slice(0, count + 1))) count++;
          underWay.push(line.slice(0, count));
          expectedRuns.push(underWay.at(-1)!.map(({ id }) => id));
          line = line.slice(count);
        }
      }
      function settle(outcomeOf: (job: Job, place: number) => string): void {
        const [oldest, ...others] = underWay;
        oldest!.forEach((job, place) => {
          expectedOutcomes[job.id] = outcomeOf(job, place);
        });
        underWay = others;
      }

      async function perform(action: typeof step extends fc.Arbitrary<infer Step> ? Step : never): Promise<void> {
        if (action.do === 'submit') {
          const job = { id: outcomes.length, size: action.size, kind: action.kind };
          const pending = sizeOf(line) + sizeOf(underWay.flat());
          const isFull = pending > 0 && pending + job.size > limits.maxPendingSize;
          if (isFull) expectedOutcomes[job.id] = 'refused';
          else line.push(job);
          outcomes.push(submit(job.id, job.size, job.kind).catch((error: Error) => error.message));
        } else if (action.do === 'end the turn') {
          await endOfTurn();
          startRuns();
        } else if (underWay.length > 0) {
          const run = runs[ended++]!;
          if (action.do === 'fail the run') {
            settle(() => 'broken');
            await run.fail(new Error('broken'));
          } else {
            const refused = action.refusedPlace;
            settle(({ id }, place) => (place === refused ? 'not this one' : `answer ${id}`));
            await run.end(
              run.jobs.map((id, place) => (place === refused ? new Error('not this one') : `answer ${id}`)),
            );
          }
          startRuns();
        }
        expect(runs.map(({ jobs }) => jobs)).toEqual(expectedRuns);
      }

      for (const action of steps) await perform(action);
      let drained = false;
      const draining = batcher.drain().then(() => {
        drained = true;
      });
      await perform({ do: 'end the turn' });
      while (underWay.length > 0) {
        expect(drained).toBe(false);
        await perform({ do: 'end the run', refusedPlace: null });
      }
      await draining;
      expect(await Promise.all(outcomes)).toEqual(expectedOutcomes);
    }),
  );
});
