import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Contract } from '../../src/contract/contract.ts';
import { fromValues } from '../../src/contract/rows.ts';
import type { Value } from '../../src/contract/values.ts';
import type { Dataset } from '../../src/estimators/dense-matrix.ts';
import { fitPipeline, predictPipeline } from '../../src/estimators/pipeline.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { checkExplainer, createExplainer, type Explanation } from '../../src/inference/explanation.ts';
import { explainPipeline } from '../../src/training/explain-pipeline.ts';
import { goldenRows } from '../../src/training/golden-rows.ts';
import { pipelineParameters } from '../../src/training/pipeline-parameters.ts';
import { contractOf } from '../support/declaration.ts';

function explained(dataset: Dataset, contract: Contract, alpha = 1) {
  const pipeline = fitPipeline(dataset, pipelineParameters(contract, alpha));
  // As it comes back from the database.
  const stored = JSON.parse(JSON.stringify(explainPipeline(pipeline, dataset.X, contract))) as Explanation;
  const predict = (values: readonly (readonly Value[])[]) => {
    const { features } = fromValues(contract, values);
    return predictPipeline(pipeline, {
      rows: values.length,
      columns: contract.names.length,
      data: Float64Array.from(features),
    });
  };
  return { pipeline, stored, predict, explainer: createExplainer(stored, contract) };
}

describe('of housing', () => {
  const golden = JSON.parse(
    readFileSync(new URL('../oracle/fixtures/learning-loop/contributions.json', import.meta.url), 'utf8'),
  ) as { rows: number[][]; prediction: number[]; base_value: number; contribution: number[][] };
  const { explainer } = explained(loadHousingDataset(), housing);

  test('base value and contributions are those of SHAP', () => {
    expect(Math.abs(explainer.baseValue - golden.base_value)).toBeLessThan(1e-9);
    golden.rows.forEach((row, i) => {
      const contributions = explainer.contributions(row);
      contributions.forEach((one, column) => {
        expect(Math.abs(one - golden.contribution[i]![column]!)).toBeLessThan(1e-9);
      });
      const sum = contributions.reduce((total, one) => total + one, explainer.baseValue);
      expect(Math.abs(sum - golden.prediction[i]!)).toBeLessThan(1e-9);
    });
  });
});

describe('of texts, booleans and nulls', () => {
  const contract = contractOf([
    { name: 'size', dtype: 'float64', nullable: true },
    { name: 'rooms', dtype: 'int64', nullable: true, null_as: 3 },
    { name: 'same', dtype: 'float64' },
    { name: 'zone', dtype: 'string', nullable: true, categories: ['', '__proto__', 'constructor', 'never seen'] },
    { name: 'heating', dtype: 'string', nullable: true, null_as: 'none', categories: ['gas', 'none'] },
    { name: 'lift', dtype: 'bool' },
    { name: 'floor', dtype: 'int64', kind: 'categorical' },
  ]);
  const value = {
    size: fc.option(fc.double({ min: -1e3, max: 1e3, noNaN: true })),
    rooms: fc.option(fc.integer({ min: -5, max: 9 })),
    zone: fc.option(fc.constantFrom('', '__proto__', 'constructor', 'never seen', 'toString', 'elsewhere')),
    heating: fc.option(fc.constantFrom('gas', 'none', 'wood')),
    floor: fc.integer({ min: -2, max: 40 }),
  };
  const row = fc.tuple(value.size, value.rooms, fc.constant(7), value.zone, value.heating, fc.boolean(), value.floor);

  const training: Value[][] = Array.from({ length: 80 }, (_, i) => [
    i % 9 === 0 ? null : 50 + 40 * Math.sin(i),
    i % 7 === 0 ? null : (i * 3) % 8,
    7,
    [null, '', '__proto__', 'constructor', 'elsewhere'][i % 5]!,
    [null, 'gas', 'wood'][i % 3]!,
    i % 2 === 0,
    i % 4,
  ]);
  const { features } = fromValues(contract, training);
  const X = { rows: 80, columns: 7, data: Float64Array.from(features) };
  const dataset = { X, y: Float64Array.from({ length: 80 }, (_, i) => 10 * Math.cos(i) + (i % 5) * 30) };
  const { pipeline, stored, explainer, predict } = explained(dataset, contract);

  test('they add up to the prediction for any row, also far out of range', () => {
    fc.assert(
      fc.property(row, fc.constantFrom(1, 1e3), (values, far) => {
        const asked = values.map((one, column) => (typeof one === 'number' && column === 0 ? one * far : one));
        const slots = fromValues(contract, [asked]).features;
        const contributions = explainer.contributions(slots);
        const sum = contributions.reduce((total, one) => total + one, explainer.baseValue);
        const size = contributions.reduce((total, one) => total + Math.abs(one), Math.abs(explainer.baseValue));
        expect(Math.abs(sum - predict([asked])[0]!)).toBeLessThanOrEqual(1e-9 * size);
      }),
    );
  });

  test('the base value is the mean of the predictions, and a constant adds nothing', () => {
    const predictions = predictPipeline(pipeline, X);
    const mean = predictions.reduce((sum, one) => sum + one, 0) / 80;
    expect(explainer.baseValue).toBeCloseTo(mean, 9);
    expect(explainer.contributions(features)[2]).toBe(0);
  });

  test('a stored one that does not fit is refused', () => {
    const golden = goldenRows(X, predictPipeline(pipeline, X), contract);
    checkExplainer(explainer, golden, contract);
    const other = createExplainer({ ...stored, base_value: stored.base_value + 1e-3 }, contract);
    expect(() => checkExplainer(other, golden, contract)).toThrow(/adds up to/);
    const { zone, ...without } = stored.features;
    for (const wrong of [
      'x',
      {},
      { base_value: 1 },
      { ...stored, base_value: '1' },
      { ...stored, features: without },
      { ...stored, features: { ...stored.features, zone: { ...zone, other: null } } },
      { ...stored, features: { ...stored.features, size: zone } },
      { ...stored, features: { ...stored.features, zone: { ...zone, effects: { a: 'b' } } } },
    ]) {
      expect(() => createExplainer(wrong, contract)).toThrow(/does not fit/);
    }
  });
});
