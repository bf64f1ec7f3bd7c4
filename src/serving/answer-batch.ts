/** One batch, from the rows of several callers to their answers: join, run, name, store. */
import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import { RidgelineError, reasonOf } from '../errors.ts';
import type { Predictor } from '../inference/predictor.ts';
import type { Log } from '../log.ts';
import type { PredictionLog } from '../prediction-log/prediction-log.ts';
import { createBatchMemory } from './batch-memory.ts';
import { extrasFor, type HalfWidthsInForce, refusalOfWanted } from './extras.ts';
import type { Answer, Job, Outcome, Refusal } from './outcome.ts';
import { createPredictionIds } from './prediction-ids.ts';
import type { ServingCounts } from './serving-counts.ts';

export interface BatchAnswererOptions {
  /** The version that runs rows of this contract. Called once a run, so that one version answers all of it. */
  predictorFor: (contract: Contract) => Predictor | undefined;
  /** Of the intervals of a version, as they are now; null where it has none. */
  halfWidthsOf: HalfWidthsInForce;
  predictionLog: Pick<PredictionLog, 'append' | 'refusal'>;
  /** The most rows of a batch, for which memory is set aside. */
  maxRows: number;
  /** The most rows of a batch of more than one request. */
  maxJoinedRows: number;
  counts: Pick<ServingCounts, 'ran' | 'answered'>;
  clock: Clock;
  log: Pick<Log, 'warn'>;
}

/**
 * Answers requests of one contract in their order. One whose values lead to no finite prediction is refused alone and not
 * stored; the others are stored with one write, then answered. Rejects with `pipeline_replaced` where no version of the
 * contract is left, and with the prediction log's error when it cannot store them; where they had to be run one by one, that
 * error stands in the place of those alone that it concerns, and so does that of a request which wants what the version cannot
 * tell.
 */
export type BatchAnswerer = (jobs: readonly Job[]) => Promise<(Outcome | Error)[]>;

export function createBatchAnswerer(options: BatchAnswererOptions): BatchAnswerer {
  const { predictorFor, halfWidthsOf, predictionLog, counts, clock, log } = options;
  const newPredictionIds = createPredictionIds();
  const memory = createBatchMemory(options);
  let failingVersion: string | undefined;

  async function answerBatch(jobs: readonly Job[]): Promise<(Outcome | Error)[]> {
    const refusal = predictionLog.refusal();
    if (refusal) throw refusal;
    const [first] = jobs;
    if (!first) return [];
    const { contract } = first;
    const predictor = predictorFor(contract);
    if (!predictor) throw new RidgelineError('pipeline_replaced');
    const untellable = jobs.map(({ wanted }) => wanted && refusalOfWanted(wanted, predictor, halfWidthsOf));
    if (untellable.some((error) => error !== undefined)) return await answerOthers(jobs, untellable);
    const rows = jobs.reduce((sum, job) => sum + job.rows, 0);
    const { features, texts } = memory.join(jobs);
    const output = memory.predictions(rows);
    const startedAt = performance.now();
    try {
      predictor.predict(features, rows, output);
      counts.ran((performance.now() - startedAt) / 1000);
    } catch (error) {
      if (jobs.length > 1) return await answerOneByOne(jobs);
      noteFailure(predictor, error);
      return [notComputable];
    }
    const predictions = toArray(output);
    if (!predictions.every(Number.isFinite)) return await answerThoseThatAreFinite(jobs, predictions);

    const { pipelineVersion } = predictor;
    const createdAt = clock.now();
    const idBytes = memory.ids(rows);
    const idStrings = newPredictionIds(idBytes, createdAt.getTime());
    await predictionLog.append({
      contract,
      ids: idBytes,
      features,
      texts,
      predictions: output,
      pipelineVersion,
      createdAt,
    });
    counts.answered(rows);
    return shareOut(jobs, (job, start, after): Answer => {
      const answer = {
        predictions: predictions.slice(start, after),
        ids: idStrings.slice(start, after),
        pipelineVersion,
      };
      return job.wanted ? { ...answer, ...extrasFor(job, job.wanted, predictor, halfWidthsOf) } : answer;
    });
  }

  /** Runs each request alone, so that rows on which the runtime fails cost no other request its answer. Rare. */
  async function answerOneByOne(jobs: readonly Job[]): Promise<(Outcome | Error)[]> {
    const outcomes: (Outcome | Error)[] = [];
    // What is stored by then has to be answered: asked again, it would be stored twice.
    for (const job of jobs) outcomes.push(...(await answerBatch([job]).catch((error: Error) => [error])));
    return outcomes;
  }

  /** Logs once a version: a caller who sends such values may send thousands. */
  function noteFailure({ pipelineVersion }: Predictor, error: unknown): void {
    if (failingVersion === pipelineVersion) return;
    failingVersion = pipelineVersion;
    log.warn({ pipelineVersion, reason: reasonOf(error) }, 'a pipeline cannot be run with the values of a request');
  }

  /** Refuses the requests with a prediction that is not finite, and runs the others again without them. Rare. */
  async function answerThoseThatAreFinite(
    jobs: readonly Job[],
    predictions: readonly number[],
  ): Promise<(Outcome | Error)[]> {
    return await answerOthers(
      jobs,
      shareOut(jobs, (_, start, after) => refusalOf(predictions.slice(start, after))),
    );
  }

  /** Answers the requests that are not refused, in a batch of their own. */
  async function answerOthers(
    jobs: readonly Job[],
    refusals: readonly (Refusal | Error | undefined)[],
  ): Promise<(Outcome | Error)[]> {
    const others = jobs.filter((_, i) => refusals[i] === undefined);
    const answers = await answerBatch(others);
    const answerOf = new Map(others.map((job, i) => [job, answers[i]!]));
    return jobs.map((job, i) => refusals[i] ?? answerOf.get(job)!);
  }

  return answerBatch;
}

const notComputable: Refusal = {
  faults: [{ row: undefined, code: 'not_computable', message: 'The pipeline cannot compute with these values.' }],
};

/** A plain array, as it is sliced, and slices of a Float64Array are expensive. A loop is much faster than Array.from. */
function toArray(values: Float64Array): number[] {
  const array = new Array<number>(values.length);
  for (let i = 0; i < values.length; i++) array[i] = values[i]!;
  return array;
}

/** Calls `make` with each job and its range of rows, from `start` to before `after`. */
function shareOut<Share>(jobs: readonly Job[], make: (job: Job, start: number, after: number) => Share): Share[] {
  let start = 0;
  return jobs.map((job) => {
    const after = start + job.rows;
    const share = make(job, start, after);
    start = after;
    return share;
  });
}

function refusalOf(predictions: readonly number[]): Refusal | undefined {
  const faults = predictions.flatMap((prediction, row): Refusal['faults'] =>
    Number.isFinite(prediction) ? [] : [{ row, code: 'not_finite', message: 'The prediction for this row overflows.' }],
  );
  return faults.length > 0 ? { faults } : undefined;
}
