import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { disagreement, sizeOf } from '../../src/agreement.ts';
import type { Contract } from '../../src/contract/contract.ts';
import { fromValues } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import type { DenseMatrix } from '../../src/estimators/dense-matrix.ts';
import { type FittedPipeline, fitPipeline, predictPipeline } from '../../src/estimators/pipeline.ts';
import { openOnnxSession } from '../../src/inference/onnx-session.ts';
import { exportPipeline } from '../../src/onnx/export-pipeline.ts';
import { crossValPredict } from '../../src/training/cross-validation.ts';
import { pipelineParameters } from '../../src/training/pipeline-parameters.ts';
import { contractOf } from '../support/declaration.ts';

/** What test/oracle/make_declared_fixtures.py has written. */
interface Fixture {
  features: object[];
  target: string;
  rows: Value[][];
  y: number[];
  new_rows: Value[][];
  folds: number[][];
  alphas: Record<string, { predictions: number[]; new_predictions: number[]; out_of_fold: number[] }>;
}

function readFixture(name: string): Fixture {
  return JSON.parse(readFileSync(new URL(`../oracle/fixtures/${name}.json`, import.meta.url), 'utf8')) as Fixture;
}

function matrixOf(contract: Contract, rows: readonly Value[][]): DenseMatrix {
  const { features } = fromValues(contract, rows);
  return { rows: rows.length, columns: contract.features.length, data: Float64Array.from(features) };
}

function runInOnnx(pipeline: FittedPipeline, contract: Contract, X: DenseMatrix): Float64Array {
  const bytes = exportPipeline(pipeline, { featureNames: contract.names, targetName: 'y', dataFingerprint: '' });
  const session = openOnnxSession(bytes, contract.names);
  const answers = session.run(X.data, X.rows);
  session.release();
  return answers;
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string, tolerance = 1e-9): void {
  expect(actual).toHaveLength(expected.length);
  const size = sizeOf(expected);
  for (let i = 0; i < expected.length; i++) {
    // Written so that NaN fails.
    const isClose = disagreement(actual[i]!, expected[i]!, size) <= tolerance;
    expect(isClose, `${what}, row ${i}: ${actual[i]}, expected ${expected[i]}`).toBe(true);
  }
}

describe.each(['penguins', 'penguins_raw', 'diabetes', 'grunfeld', 'every_type'])('as scikit-learn on %s', (name) => {
  const fixture = readFixture(name);
  const contract = contractOf(fixture.features, { name: fixture.target });
  const X = matrixOf(contract, fixture.rows);
  const unseen = matrixOf(contract, fixture.new_rows);
  const dataset = { X, y: Float64Array.from(fixture.y) };

  test.each(Object.keys(fixture.alphas))('with alpha %s: fit, ONNX, and cross-validation', (alpha) => {
    const expected = fixture.alphas[alpha]!;
    const parameters = pipelineParameters(contract, Number(alpha));
    const pipeline = fitPipeline(dataset, parameters);
    expectClose(predictPipeline(pipeline, X), expected.predictions, 'fit');
    expectClose(predictPipeline(pipeline, unseen), expected.new_predictions, 'fit, new rows');
    expectClose(runInOnnx(pipeline, contract, X), expected.predictions, 'ONNX');
    expectClose(runInOnnx(pipeline, contract, unseen), expected.new_predictions, 'ONNX, new rows');
    const folds = fixture.folds.map((rows) => Uint32Array.from(rows));
    expectClose(crossValPredict(dataset, parameters, folds), expected.out_of_fold, 'out of fold');
  });
});
