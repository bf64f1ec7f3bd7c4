import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { disagreement, sizeOf } from '../../src/agreement.ts';
import { featuresOfKind } from '../../src/contract/contract.ts';
import type { Dataset, DenseMatrix } from '../../src/estimators/dense-matrix.ts';
import {
  type FittedPipeline,
  fitPipeline,
  type PipelineParameters,
  predictPipeline,
} from '../../src/estimators/pipeline.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { openOnnxSession } from '../../src/inference/onnx-session.ts';
import { type ExportMetadata, exportPipeline, INPUT_NAME, OUTPUT_NAME } from '../../src/onnx/export-pipeline.ts';
import { DataType, decodeModel } from '../../src/onnx/messages.ts';

const boston: { extra_rows: number[][]; alphas: Record<string, { predictions: number[]; extra: number[] }> } =
  readFixture('boston');
const synthetic: {
  sets: {
    name: string;
    numerical: string[];
    categorical: string[];
    X: number[][];
    y: number[];
    alpha: number;
    new_rows: number[][];
    new_predictions: number[];
    solver_spread?: number;
  }[];
} = readFixture('synthetic');

function readFixture<Content>(name: string): Content {
  return JSON.parse(readFileSync(new URL(`../oracle/fixtures/${name}.json`, import.meta.url), 'utf8')) as Content;
}

function matrix(rows: readonly (readonly number[])[]): DenseMatrix {
  return { rows: rows.length, columns: rows[0]!.length, data: Float64Array.from(rows.flat()) };
}

const dataset = loadHousingDataset();
const metadata: ExportMetadata = {
  featureNames: housing.names,
  targetName: housing.declaration.output.name,
  dataFingerprint: 'ab'.repeat(32),
};

function fitHousing(alpha: number, { X, y }: Dataset = dataset): FittedPipeline {
  const roles = {
    numerical: featuresOfKind(housing, 'numerical'),
    categorical: featuresOfKind(housing, 'categorical'),
  };
  return fitPipeline({ X, y }, { ...roles, alpha });
}

/** The answers of ONNX Runtime, asked in batches of the given size; the last one may be smaller. */
async function answersOf(
  bytes: Uint8Array,
  X: DenseMatrix,
  batchSize = X.rows,
  names = metadata.featureNames,
): Promise<number[]> {
  const session = openOnnxSession(bytes, names);
  const answers: number[] = [];
  for (let start = 0; start < X.rows; start += batchSize) {
    const rows = Math.min(batchSize, X.rows - start);
    const block = X.data.slice(start * X.columns, (start + rows) * X.columns);
    answers.push(...session.run(block, rows));
  }
  session.release();
  return answers;
}

function expectClose(actual: readonly number[], expected: ArrayLike<number>, tolerance = 1e-9): void {
  expect(actual).toHaveLength(expected.length);
  const size = sizeOf(expected);
  const worst = actual.reduce((largest, value, i) => {
    const difference = disagreement(value, expected[i]!, size);
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference);
  }, 0);
  expect(worst).toBeLessThanOrEqual(tolerance);
}

describe.each(Object.keys(boston.alphas))('Boston housing with alpha %s', (alpha) => {
  const pipeline = fitHousing(Number(alpha));
  const bytes = exportPipeline(pipeline, metadata);

  test.each([1, 7, 506])('ONNX Runtime answers as the fit and as scikit-learn in batches of %i', async (batchSize) => {
    const answers = await answersOf(bytes, dataset.X, batchSize);
    expectClose(answers, predictPipeline(pipeline, dataset.X), 1e-12);
    expectClose(answers, boston.alphas[alpha]!.predictions);
  });

  test('it answers as scikit-learn for unknown categories and far outside the range', async () => {
    const answers = await answersOf(bytes, matrix(boston.extra_rows));
    expectClose(answers, predictPipeline(pipeline, matrix(boston.extra_rows)));
    expectClose(answers, boston.alphas[alpha]!.extra);
  });
});

test.each(synthetic.sets)('ONNX Runtime answers as the fit and as scikit-learn: $name', async (set) => {
  const names = [...set.numerical, ...set.categorical];
  const pipeline = fitPipeline(
    { X: matrix(set.X), y: Float64Array.from(set.y) },
    {
      alpha: set.alpha,
      numerical: Array.from(set.numerical.keys()),
      categorical: set.categorical.map((_, k) => set.numerical.length + k),
    },
  );
  const bytes = exportPipeline(pipeline, { ...metadata, featureNames: names });
  expectClose(await answersOf(bytes, matrix(set.X), set.X.length, names), predictPipeline(pipeline, matrix(set.X)));
  const answers = await answersOf(bytes, matrix(set.new_rows), set.new_rows.length, names);
  expectClose(answers, predictPipeline(pipeline, matrix(set.new_rows)));
  expectClose(answers, set.new_predictions, 1e-9 + (set.solver_spread ?? 0));
});

test('the sets include pipelines without numerical and without categorical columns', () => {
  expect(synthetic.sets.some(({ numerical }) => numerical.length === 0)).toBe(true);
  expect(synthetic.sets.some(({ categorical }) => categorical.length === 0)).toBe(true);
});

test('the columns may be in any order', async () => {
  const X = matrix([
    [3, 1.5, 0, 20],
    [1, 2.5, 1, 10],
    [3, 0.5, 1, 40],
    [2, 9.5, 0, 30],
  ]);
  const pipeline = fitPipeline(
    { X, y: Float64Array.of(1, 5, 2, 8) },
    { alpha: 0.5, numerical: [3, 1], categorical: [2, 0] },
  );
  const names = ['c', 'a', 'd', 'b'];
  const bytes = exportPipeline(pipeline, { ...metadata, featureNames: names });
  expectClose(await answersOf(bytes, X, X.rows, names), predictPipeline(pipeline, X), 1e-12);
});

test('an unknown category is worth the same whichever it is, and -0 is the known 0', async () => {
  const bytes = exportPipeline(fitHousing(1), metadata);
  const [first] = boston.extra_rows;
  const withRad = (value: number) => first!.map((old, column) => (column === 8 ? value : old));
  const withChas = (value: number) => first!.map((old, column) => (column === 3 ? value : old));
  const rows = [withRad(99), withRad(-1), withRad(4.5), withRad(1e300), withChas(0), withChas(-0)];
  const answers = await answersOf(bytes, matrix(rows));
  expect(new Set(answers.slice(0, 4)).size).toBe(1);
  expect(answers[0]).not.toBe(answers[4]);
  expect(answers[4]).toBe(answers[5]);
});

test('the same fit and metadata give the same bytes, another fit or other metadata give others', () => {
  const bytes = exportPipeline(fitHousing(1), metadata);
  expect(exportPipeline(fitHousing(1), metadata)).toEqual(bytes);
  expect(exportPipeline(fitHousing(10), metadata)).not.toEqual(bytes);
  expect(exportPipeline(fitHousing(1), { ...metadata, dataFingerprint: 'cd'.repeat(32) })).not.toEqual(bytes);
});

describe('missing values', () => {
  const X = matrix([
    [3, 1.5, 0, 20],
    [Number.NaN, 2.5, 1, Number.NaN],
    [3, 0.5, Number.NaN, 40],
    [2, 9.5, 0, 30],
  ]);
  const how: PipelineParameters = {
    alpha: 0.5,
    numerical: [3, 1],
    categorical: [2, 0],
    imputed: [
      { column: 3, strategy: 'mean' },
      { column: 2, strategy: 'constant', fillValue: 7 },
      { column: 0, strategy: 'constant', fillValue: 3 },
    ],
  };
  const names = ['c', 'a', 'd', 'b'];
  const pipeline = fitPipeline({ X, y: Float64Array.of(1, 5, 2, 8) }, how);
  const bytes = exportPipeline(pipeline, { ...metadata, featureNames: names });
  const graphOf = (model: Uint8Array) => decodeModel(model).graph as { node: { opType: string }[] };

  test('are replaced before anything else, by two nodes', async () => {
    expectClose(await answersOf(bytes, X, 1, names), predictPipeline(pipeline, X), 1e-12);
    const [first, second, third] = graphOf(bytes).node.map(({ opType }) => opType);
    expect([first, second, third]).toEqual(['IsNaN', 'Where', 'Gather']);
  });

  test('of a column that is not imputed show in the answer', async () => {
    expect(await answersOf(bytes, matrix([[1, Number.NaN, 0, 20]]), 1, names)).toEqual([Number.NaN]);
  });

  test('that cannot be leave the graph as it was', () => {
    const whole = { X: matrix([[3, 1.5, 0, 20]]), y: Float64Array.of(1) };
    const { imputed: _, ...without } = how;
    const nodes = graphOf(exportPipeline(fitPipeline(whole, without), { ...metadata, featureNames: names })).node;
    expect(nodes.map(({ opType }) => opType)).not.toContain('Where');
  });
});

test('a categorical column of which nothing is known adds nothing', async () => {
  const X = matrix([
    [3, 1],
    [4, 5],
  ]);
  const pipeline = fitPipeline(
    { X, y: Float64Array.of(1, 2) },
    { alpha: 1, numerical: [1], categorical: [0], known: new Map([[0, new Set()]]) },
  );
  const bytes = exportPipeline(pipeline, { ...metadata, featureNames: ['c', 'a'] });
  expectClose(await answersOf(bytes, X, 2, ['c', 'a']), predictPipeline(pipeline, X), 1e-12);
});

test('categories are called by their names in what the file says of itself', () => {
  const categoryName = (column: number, category: number) => (column === 3 ? ['no', 'yes'][category]! : category);
  const { metadataProps } = decodeModel(exportPipeline(fitHousing(1), { ...metadata, categoryName })) as {
    metadataProps: { key: string; value: string }[];
  };
  const { value } = metadataProps.find(({ key }) => key === 'categories')!;
  expect(JSON.parse(value)).toEqual({ CHAS: ['no', 'yes'], RAD: [1, 2, 3, 4, 5, 6, 7, 8, 24] });
});

describe('the exported model', () => {
  const model = decodeModel(exportPipeline(fitHousing(10), metadata)) as {
    irVersion: number;
    producerName: string;
    opsetImport: unknown[];
    metadataProps: { key: string; value: string }[];
    graph: {
      node: { opType: string }[];
      initializer: { dataType: number; name: string }[];
      input: unknown[];
      output: unknown[];
    };
  };

  test('says what it was made from', () => {
    const properties = Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value]));
    expect(JSON.parse(properties.feature_names!)).toEqual(metadata.featureNames);
    expect(JSON.parse(properties.categories!)).toEqual({ CHAS: [0, 1], RAD: [1, 2, 3, 4, 5, 6, 7, 8, 24] });
    expect(properties).toMatchObject({ target_name: 'MEDV', alpha: '10', data_sha256: metadata.dataFingerprint });
    expect(model.producerName).toBe('ridgeline');
  });

  test('takes float64 [N, 13] and gives float64 [N, 1], N free', () => {
    const type = (width: number) => ({
      tensorType: { elemType: DataType.DOUBLE, shape: { dim: [{ dimParam: 'N' }, { dimValue: width }] } },
    });
    expect(model.graph.input).toEqual([{ name: INPUT_NAME, type: type(13) }]);
    expect(model.graph.output).toEqual([{ name: OUTPUT_NAME, type: type(1) }]);
  });

  test('has plain operators of the default domain and no float32 constant', () => {
    expect(model.irVersion).toBe(10);
    // The default domain is the empty string, which is not written.
    expect(model.opsetImport).toEqual([{ version: 21 }]);
    const plain = ['Add', 'Cast', 'Concat', 'Div', 'Equal', 'Gather', 'MatMul', 'Sub'];
    expect([...new Set(model.graph.node.map(({ opType }) => opType))].sort()).toEqual(plain);
    const types = new Set(model.graph.initializer.map(({ dataType }) => dataType));
    expect(types).toEqual(new Set([DataType.DOUBLE, DataType.INT64]));
  });
});
