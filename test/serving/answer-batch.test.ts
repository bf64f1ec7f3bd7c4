import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { RidgelineError } from '../../src/errors.ts';
import type { PredictionLog } from '../../src/prediction-log/prediction-log.ts';
import { createBatchAnswerer } from '../../src/serving/answer-batch.ts';
import type { Answer, Outcome } from '../../src/serving/outcome.ts';
import { createServingCounts } from '../../src/serving/serving-counts.ts';
import { contractOf } from '../support/declaration.ts';

const contract = contractOf([{ name: 'n', dtype: 'float64' }]);

/** A pipeline of one feature that answers with its double; it gives up on 13, and has no finite answer for 99. */
const predictor = {
  pipelineVersion: 'v1',
  contract,
  predict(features: Float64Array, rows: number, predictions = new Float64Array(rows)) {
    if (features.includes(13)) throw new Error('/onnxruntime/core/node.cc:42 integer division by zero');
    for (let row = 0; row < rows; row++) predictions[row] = features[row] === 99 ? Number.NaN : 2 * features[row]!;
    return predictions;
  },
  halfWidths: null,
  explainer: null,
  retire: () => undefined,
};

/** An answerer, and the features of each batch that it has stored. */
function setUp({ append, refusal }: Partial<Pick<PredictionLog, 'append'>> & { refusal?: RidgelineError } = {}) {
  const stored: number[][] = [];
  const warned: object[] = [];
  const counts = createServingCounts();
  const answerBatch = createBatchAnswerer({
    predictorFor: (asked) => (asked === contract ? predictor : undefined),
    halfWidthsOf: (version) => version.halfWidths,
    predictionLog: {
      refusal: () => refusal,
      append(batch) {
        stored.push(Array.from(batch.features));
        return append?.(batch);
      },
    },
    maxRows: 100,
    maxJoinedRows: 100,
    counts,
    clock: systemClock,
    log: { warn: (fields) => warned.push(fields) },
  });
  const answerRows = (...jobs: number[][]) => answerBatch(jobs.map(toRows));
  return { answer: answerBatch, answerBatch: answerRows, stored, warned, counts };
}

const toRows = (features: number[]) => ({ contract, rows: features.length, features });
const predictionsOf = (outcome: Outcome | Error | undefined) => (outcome as Answer).predictions;

test('the rows of several requests are one run and one batch, and each gets its own answers and ids', async () => {
  const { answerBatch, stored } = setUp();
  const outcomes = await answerBatch([1], [2, 3], [4]);
  expect(outcomes.map(predictionsOf)).toEqual([[2], [4, 6], [8]]);
  expect(stored).toEqual([[1, 2, 3, 4]]);
  const ids = outcomes.flatMap((outcome) => (outcome as Answer).ids);
  expect(new Set(ids).size).toBe(4);
});

test('a request whose prediction is not finite is refused alone, by its row, and not stored', async () => {
  const { answerBatch, stored } = setUp();
  const [first, refused, last] = await answerBatch([1], [2, 99, 3], [4]);
  expect(refused).toEqual({ faults: [{ row: 1, code: 'not_finite', message: expect.any(String) }] });
  expect([first, last].map(predictionsOf)).toEqual([[2], [8]]);
  expect(stored).toEqual([[1, 4]]);
});

test('a run that gives up costs the request alone that it gives up on, which hears nothing of the runtime', async () => {
  const { answerBatch, stored, warned } = setUp();
  const outcomes = await answerBatch([1], [13, 2], [3], [99]);
  expect(outcomes[1]).toEqual({ faults: [{ row: undefined, code: 'not_computable', message: expect.any(String) }] });
  expect(JSON.stringify(outcomes)).not.toContain('onnxruntime');
  expect([outcomes[0], outcomes[2]].map(predictionsOf)).toEqual([[2], [6]]);
  expect(outcomes[3]).toMatchObject({ faults: [{ row: 0, code: 'not_finite' }] });
  expect(stored).toEqual([[1], [3]]);
  await answerBatch([13]);
  expect(warned).toEqual([{ pipelineVersion: 'v1', reason: expect.any(String) }]);
});

test('rows are counted once they are answered, however often they were run', async () => {
  const { answerBatch, counts } = setUp();
  await answerBatch([1], [2, 99, 3], [4, 5]);
  expect(counts.facts().rows).toBe(3);
  const runs = () => counts.facts().runs.counts.reduce((sum, count) => sum + count);
  expect(runs()).toBe(2);
  const failing = setUp({ append: () => Promise.reject(new Error('not stored')) });
  await expect(failing.answerBatch([1])).rejects.toThrow('not stored');
  expect(failing.counts.facts().rows).toBe(0);
});

test('nobody is answered before the batch is stored, nor when it cannot be', async () => {
  let store!: () => void;
  const waiting = setUp({ append: () => new Promise((resolve) => (store = resolve)) });
  let answered = false;
  const answer = waiting.answerBatch([1]).then((outcomes) => {
    answered = true;
    return outcomes;
  });
  await new Promise(setImmediate);
  expect(answered).toBe(false);
  store();
  expect((await answer).map(predictionsOf)).toEqual([[2]]);

  const failing = setUp({ append: () => Promise.reject(new Error('not stored')) });
  await expect(failing.answerBatch([1], [2])).rejects.toThrow('not stored');
});

test('while predictions cannot be stored no work is done for them', async () => {
  const refusal = new RidgelineError('prediction_not_stored');
  const { answerBatch, stored } = setUp({ refusal });
  await expect(answerBatch([13])).rejects.toBe(refusal);
  expect(stored).toEqual([]);
});

test('rows of a contract of which no version is left are refused, with when to send them again', async () => {
  const { answer } = setUp();
  const gone = { ...toRows([1]), contract: contractOf([{ name: 'n', dtype: 'float64' }]) };
  await expect(answer([gone])).rejects.toMatchObject({ code: 'pipeline_replaced', status: 503, retryAfterSeconds: 1 });
});

test('where requests are run one by one, what could not be stored costs those alone that it concerns', async () => {
  const full = new RidgelineError('prediction_not_stored');
  let batches = 0;
  const { answerBatch, stored } = setUp({
    append() {
      if (++batches === 2) throw full;
    },
  });
  const [first, refused, lost, last] = await answerBatch([1], [13], [2], [3]);
  expect([first, last].map((outcome) => predictionsOf(outcome))).toEqual([[2], [6]]);
  expect(refused).toHaveProperty('faults');
  expect(lost).toBe(full);
  expect(stored).toEqual([[1], [2], [3]]);
});
