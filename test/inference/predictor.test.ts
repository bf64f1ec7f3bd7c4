import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { fitPipeline } from '../../src/estimators/pipeline.ts';
import { columnsOfKind, featureNames } from '../../src/feature-schema.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { type LoadablePipeline, loadPredictor } from '../../src/inference/predictor.ts';
import { exportPipeline } from '../../src/onnx/export-pipeline.ts';
import { trainPipeline } from '../../src/training/train.ts';

const dataset = loadHousingDataset();
let pipeline: LoadablePipeline;
beforeAll(async () => {
  const { artefact, goldenRows } = trainPipeline(dataset, { schema: housing, alpha: 1, seed: 0 });
  pipeline = { pipelineVersion: '2026_01_02__03_04_05', artefact, goldenRows };
});

/** The message of the refusal; fails when the pipeline is loaded or refused in another way. */
async function refusalOf(changed: Partial<LoadablePipeline>): Promise<string> {
  try {
    const predictor = await loadPredictor({ ...pipeline, ...changed }, 13);
    predictor.retire();
  } catch (error) {
    expect(error).toBeInstanceOf(RidgelineError);
    expect((error as RidgelineError).code).toBe('bad_artefact');
    return (error as RidgelineError).message;
  }
  throw new Error('The pipeline was loaded.');
}

test('a loaded pipeline has its version and reproduces its golden rows', async () => {
  const predictor = await loadPredictor(pipeline, 13);
  expect(predictor.pipelineVersion).toBe('2026_01_02__03_04_05');
  const { features, predictions } = pipeline.goldenRows;
  const answers = predictor.predict(Float64Array.from(features.flat()), features.length);
  expect(answers).toHaveLength(predictions.length);
  answers.forEach((answer, i) => {
    expect(answer).toBeCloseTo(predictions[i]!, 9);
  });
  predictor.retire();
});

test('rows answered in one batch are answered as they are one by one', async () => {
  const predictor = await loadPredictor(pipeline, 13);
  const together = predictor.predict(dataset.X.data.slice(0, 20 * 13), 20);
  for (let row = 0; row < 20; row++) {
    const [alone] = predictor.predict(dataset.X.data.slice(row * 13, (row + 1) * 13), 1);
    expect(alone).toBeCloseTo(together[row]!, 10);
  }
  predictor.retire();
});

describe('a pipeline is refused with the reason', () => {
  test('when a golden row is not reproduced', async () => {
    const { features, predictions } = pipeline.goldenRows;
    const off = predictions.map((value, i) => (i === 3 ? value * (1 + 1e-8) : value));
    expect(await refusalOf({ goldenRows: { features, predictions: off } })).toMatch(
      /^Golden row 4 gives .* where the fit/,
    );
  });

  test('when it is another pipeline than the one whose golden rows it has', async () => {
    const other = trainPipeline(dataset, { schema: housing, alpha: 1.000001, seed: 0 });
    expect(await refusalOf({ artefact: other.artefact })).toMatch(/^Golden row 1 gives/);
  });

  test('when answers are missing for golden rows', async () => {
    const { features, predictions } = pipeline.goldenRows;
    expect(await refusalOf({ goldenRows: { features, predictions: predictions.slice(1) } })).toMatch(/golden row/i);
  });

  test('when there are no golden rows, or they have another width', async () => {
    expect(await refusalOf({ goldenRows: { features: [], predictions: [] } })).toContain('one or more rows of 13');
    const narrow = { features: [[1, 2, 3]], predictions: [1] };
    expect(await refusalOf({ goldenRows: narrow })).toContain('one or more rows of 13');
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('when a weight is %s', async (weight) => {
    const roles = {
      numerical: columnsOfKind(housing, 'numerical'),
      categorical: columnsOfKind(housing, 'categorical'),
    };
    const fitted = fitPipeline(dataset, { ...roles, alpha: 1 });
    fitted.ridge.coef[4] = weight;
    const artefact = exportPipeline(fitted, {
      featureNames: featureNames(housing),
      targetName: 'MEDV',
      dataFingerprint: '',
    });
    expect(await refusalOf({ artefact })).toMatch(/^Golden row 1 gives (NaN|-?Infinity)/);
  });

  test('when the artefact is cut', async () => {
    expect(await refusalOf({ artefact: pipeline.artefact.slice(0, 1000) })).toContain('ONNX Runtime refuses it');
  });
});

test('an artefact with one flipped bit is refused, or answers its golden rows all the same', async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat({ max: 7 }), async (at, bit) => {
      const artefact = Uint8Array.from(pipeline.artefact);
      artefact[at % artefact.length]! ^= 1 << bit;
      const predictor = await loadPredictor({ ...pipeline, artefact }, 13).catch((error: unknown) => {
        expect(error).toBeInstanceOf(RidgelineError);
        expect((error as RidgelineError).code).toBe('bad_artefact');
        refused++;
      });
      if (!predictor) return;
      const { features, predictions } = pipeline.goldenRows;
      const answers = predictor.predict(Float64Array.from(features.flat()), features.length);
      answers.forEach((answer, i) => {
        expect(answer).toBeCloseTo(predictions[i]!, 7);
      });
      predictor.retire();
    }),
  );
  expect(refused).toBeGreaterThan(0);
});

test('loading lets the event loop turn, so that requests are answered meanwhile', async () => {
  let turns = 0;
  let loading = true;
  const turning = (async () => {
    for (; loading; turns++) await nextTurn();
  })();
  const predictor = await loadPredictor(pipeline, 13);
  loading = false;
  await turning;
  expect(turns).toBeGreaterThan(10);
  predictor.retire();
});

test('a retired predictor has freed its session', async () => {
  const predictor = await loadPredictor(pipeline, 13);
  predictor.retire();
  expect(() => predictor.predict(Float64Array.from(pipeline.goldenRows.features[0]!), 1)).toThrow();
});

test('a run that fails throws, and the next one is answered', async () => {
  const predictor = await loadPredictor(pipeline, 13);
  expect(() => predictor.predict(Float64Array.of(1, 2, 3), 1)).toThrow();
  const [answer] = predictor.predict(Float64Array.from(pipeline.goldenRows.features[0]!), 1);
  expect(answer).toBeCloseTo(pipeline.goldenRows.predictions[0]!, 9);
  predictor.retire();
});
