import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { featuresOfKind } from '../../src/contract/contract.ts';
import { fromValues, type GoldenRows } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import { RidgelineError } from '../../src/errors.ts';
import { fitPipeline } from '../../src/estimators/pipeline.ts';
import { checkGoldenRows } from '../../src/inference/golden-rows.ts';
import type { OnnxSession } from '../../src/inference/onnx-session.ts';
import { type LoadablePipeline, loadPredictor } from '../../src/inference/predictor.ts';
import { exportPipeline } from '../../src/onnx/export-pipeline.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { contractOf, loadWines, wines } from '../support/declaration.ts';

const dataset = loadWines();
const width = wines.features.length;
let pipeline: LoadablePipeline;
beforeAll(async () => {
  const { artefact, goldenRows } = trainPipeline(dataset, { contract: wines, alpha: 1, seed: 0 });
  pipeline = { pipelineVersion: '2026_01_02__03_04_05', artefact, goldenRows };
});

const slotsOf = (rows: GoldenRows['features']) => Float64Array.from(fromValues(wines, rows).features);

/** The message of the refusal; fails when the pipeline is loaded or refused in another way. */
async function refusalOf(changed: Partial<LoadablePipeline>): Promise<string> {
  try {
    const predictor = await loadPredictor({ ...pipeline, ...changed }, wines);
    predictor.retire();
  } catch (error) {
    expect(error).toBeInstanceOf(RidgelineError);
    expect((error as RidgelineError).code).toBe('bad_artefact');
    return (error as RidgelineError).message;
  }
  throw new Error('The pipeline was loaded.');
}

test('a loaded pipeline has its version and contract, and reproduces its golden rows', async () => {
  const predictor = await loadPredictor(pipeline, wines);
  expect(predictor.contract).toBe(wines);
  expect(predictor.pipelineVersion).toBe('2026_01_02__03_04_05');
  const { features, predictions } = pipeline.goldenRows;
  const answers = predictor.predict(slotsOf(features), features.length);
  expect(answers).toHaveLength(predictions.length);
  answers.forEach((answer, i) => {
    expect(answer).toBeCloseTo(predictions[i]!, 9);
  });
  predictor.retire();
});

test('rows answered in one batch are answered as they are one by one', async () => {
  const predictor = await loadPredictor(pipeline, wines);
  const together = predictor.predict(dataset.X.data.slice(0, 20 * width), 20);
  for (let row = 0; row < 20; row++) {
    const [alone] = predictor.predict(dataset.X.data.slice(row * width, (row + 1) * width), 1);
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
    const other = trainPipeline(dataset, { contract: wines, alpha: 1.000001, seed: 0 });
    expect(await refusalOf({ artefact: other.artefact })).toMatch(/^Golden row 1 gives/);
  });

  test('when answers are missing for golden rows', async () => {
    const { features, predictions } = pipeline.goldenRows;
    expect(await refusalOf({ goldenRows: { features, predictions: predictions.slice(1) } })).toMatch(/golden row/i);
  });

  test('when there are no golden rows, or they have another width', async () => {
    expect(await refusalOf({ goldenRows: { features: [], predictions: [] } })).toContain('one or more rows of 5');
    const narrow = { features: [[1, 2, 3]], predictions: [1] };
    expect(await refusalOf({ goldenRows: narrow })).toContain('one or more rows of 5');
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('when a weight is %s', async (weight) => {
    const roles = {
      numerical: featuresOfKind(wines, 'numerical'),
      categorical: featuresOfKind(wines, 'categorical'),
    };
    const fitted = fitPipeline(dataset, { ...roles, alpha: 1 });
    fitted.ridge.coef[4] = weight;
    const artefact = exportPipeline(fitted, {
      featureNames: wines.names,
      targetName: 'MEDV',
      dataFingerprint: '',
    });
    expect(await refusalOf({ artefact })).toMatch(/^Golden row 1 gives (NaN|-?Infinity)/);
  });

  test('when the artefact is cut', async () => {
    expect(await refusalOf({ artefact: pipeline.artefact.slice(0, 1000) })).toContain(
      'not an ONNX file, or a damaged one',
    );
  });
});

describe('golden rows are measured by the size of the target:', () => {
  const { X, y } = dataset;
  const inUnit = (unit: number, offset = 0) =>
    trainPipeline({ X, y: y.map((value) => (value - offset) * unit) }, { contract: wines, alpha: 1, seed: 0 });

  test.each([1e-9, 1e-6, 1, 1e9])('with %d in place of a thousand dollars', async (unit) => {
    const { artefact, goldenRows } = inUnit(unit);
    const { features, predictions } = goldenRows;
    const changed = (factor: number) => predictions.map((value, i) => (i === 2 ? value * factor : value));
    (await loadPredictor({ ...pipeline, artefact, goldenRows }, wines)).retire();
    const rounded = { features, predictions: changed(1 + 1e-12) };
    (await loadPredictor({ ...pipeline, artefact, goldenRows: rounded }, wines)).retire();
    const off = { features, predictions: changed(1 + 1e-7) };
    expect(await refusalOf({ artefact, goldenRows: off })).toMatch(/^Golden row 3 gives/);
  });

  test('a prediction near 0 among large ones is not refused for its rounding', async () => {
    // So far down that the first golden row is predicted as 0, but for what has been cancelled.
    const { artefact, goldenRows } = inUnit(1e6, pipeline.goldenRows.predictions[0]);
    expect(Math.abs(goldenRows.predictions[0]!)).toBeLessThan(1e-3);
    (await loadPredictor({ ...pipeline, artefact, goldenRows }, wines)).retire();
  });
});

test.each<[string, unknown, RegExp]>([
  ['nothing', null, /one or more rows of 5/],
  ['a list', [], /one or more rows of 5/],
  ['texts', 'rows', /one or more rows of 5/],
  ['rows that are none', { features: [null, 'five ch'], predictions: [1, 2] }, /one or more rows of 5/],
  ['a row that is text', { features: ['fives'], predictions: [1] }, /one or more rows of 5/],
  [
    'a text among the values',
    { features: [new Array(width).fill('1')], predictions: [1] },
    /row 1 holds a value of acidity that is not float64/,
  ],
  [
    'a null among the values',
    { features: [new Array(width).fill(null)], predictions: [1] },
    /row 1 holds a value of acidity that is not float64/,
  ],
  [
    'an answer that is null',
    { features: [new Array(width).fill(1)], predictions: [null] },
    /answer to golden row 1 is not a finite number/,
  ],
  [
    'an answer without end',
    { features: [new Array(width).fill(1)], predictions: [Number.POSITIVE_INFINITY] },
    /answer to golden row 1 is not a finite number/,
  ],
  [
    'more than are worth checking',
    { features: new Array(1001).fill(new Array(width).fill(1)), predictions: new Array(1001).fill(1) },
    /1001 golden rows; at most 1000/,
  ],
])('golden rows that are %s are refused with a sentence', async (_, goldenRows, message) => {
  expect(await refusalOf({ goldenRows: goldenRows as LoadablePipeline['goldenRows'] })).toMatch(message);
});

describe('golden rows of every type', () => {
  const apartments = contractOf([
    { name: 'size', dtype: 'float64', nullable: true },
    { name: 'district', dtype: 'string', categories: ['Wola', 'Ochota'] },
    { name: 'lift', dtype: 'bool' },
  ]);
  const rows: Value[][] = [
    [50, 'Wola', true],
    [null, 'Ochota', false],
    [70, 'Praga', true],
    [40, 'Wola', false],
  ];
  const data = Float64Array.from(fromValues(apartments, rows).features);
  const X = { rows: 4, columns: 3, data };
  const trained = trainPipeline({ X, y: Float64Array.of(5, 6, 7, 3) }, { contract: apartments, alpha: 1, seed: 0 });
  const load = (features: unknown[][], predictions = trained.goldenRows.predictions) =>
    loadPredictor(
      { ...trained, pipelineVersion: 'v1', goldenRows: { features, predictions } as GoldenRows },
      apartments,
    );
  const golden = trained.goldenRows.features;

  test('are run as the slots of their values: nulls, and texts whether they are known or not', async () => {
    expect(golden).toContainEqual([null, 'Ochota', false]);
    expect(golden).toContainEqual([70, 'unknown', true]);
    (await load(golden.map((row) => [...row]))).retire();
    const otherText = golden.map(([size, district, lift]) => [
      size,
      district === 'unknown' ? 'Żoliborz' : district,
      lift,
    ]);
    (await load(otherText)).retire();
    const wrongText = golden.map(([size, district, lift]) => [
      size,
      district === 'unknown' ? 'Ochota' : district,
      lift,
    ]);
    await expect(load(wrongText)).rejects.toThrow(/^Golden row \d gives/);
  });

  test.each<[string, unknown[], RegExp]>([
    ['null where nothing may be missing', [50, null, true], /row 1 holds a value of district that is not string/],
    ['a number for a boolean', [50, 'Wola', 1], /row 1 holds a value of lift that is not bool/],
    ['nothing for a number', [undefined, 'Wola', true], /row 1 holds a value of size that is not float64/],
  ])('are refused with %s', async (_, row, message) => {
    await expect(load([row], [1])).rejects.toThrow(message);
  });
});

describe('an answer that depends on the rows beside it is refused:', () => {
  /** Stands for graphs that the fence lets nobody bring: what is checked here must hold should it let them in one day. */
  const sessionOf = (answer: (row: number, rows: number[]) => number): OnnxSession => ({
    run: (features, _rows, predictions) => {
      predictions!.set(Array.from(features, (row) => answer(row, Array.from(features))));
      return predictions!;
    },
    release: () => undefined,
  });
  const golden = { features: [[1], [2], [6]], predictions: [1, 2, 6] };
  const contract = contractOf([{ name: 'n', dtype: 'float64' }]);
  const check = (session: OnnxSession) => Array.from(checkGoldenRows(session, golden, contract));

  test('the mean of all rows', () => {
    const mean = (rows: number[]) => rows.reduce((sum, row) => sum + row, 0) / rows.length;
    expect(() => check(sessionOf((row, rows) => row + mean(rows) - 3))).toThrow(/Golden row 1 gives -1.*asked alone/);
  });

  test('the place among the rows', () => {
    const places = [1, 2, 6];
    expect(() => check(sessionOf((row, rows) => places[rows.indexOf(row)]!))).toThrow(/Golden row 3.*in another order/);
  });

  test('while one that does not is accepted', () => {
    expect(check(sessionOf((row) => row)).length).toBeGreaterThan(0);
  });

  test('fewer answers than rows are no answers', () => {
    const silent: OnnxSession = { run: (_features, _rows, predictions) => predictions!, release: () => undefined };
    expect(() => check(silent)).toThrow(/Golden row 1 gives NaN/);
  });
});

test('an artefact with one flipped bit is refused, or answers its golden rows all the same', async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat({ max: 7 }), async (at, bit) => {
      const artefact = Uint8Array.from(pipeline.artefact);
      artefact[at % artefact.length]! ^= 1 << bit;
      const predictor = await loadPredictor({ ...pipeline, artefact }, wines).catch((error: unknown) => {
        expect(error).toBeInstanceOf(RidgelineError);
        expect((error as RidgelineError).code).toBe('bad_artefact');
        refused++;
      });
      if (!predictor) return;
      const { features, predictions } = pipeline.goldenRows;
      const answers = predictor.predict(slotsOf(features), features.length);
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
  const predictor = await loadPredictor(pipeline, wines);
  loading = false;
  await turning;
  expect(turns).toBeGreaterThan(10);
  predictor.retire();
});

test('a retired predictor has freed its session', async () => {
  const predictor = await loadPredictor(pipeline, wines);
  predictor.retire();
  expect(() => predictor.predict(slotsOf(pipeline.goldenRows.features.slice(0, 1)), 1)).toThrow();
});

test('a run that fails throws, and the next one is answered', async () => {
  const predictor = await loadPredictor(pipeline, wines);
  expect(() => predictor.predict(Float64Array.of(1, 2, 3), 1)).toThrow();
  const [answer] = predictor.predict(slotsOf(pipeline.goldenRows.features.slice(0, 1)), 1);
  expect(answer).toBeCloseTo(pipeline.goldenRows.predictions[0]!, 9);
  predictor.retire();
});
