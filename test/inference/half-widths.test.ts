import { readFileSync } from 'node:fs';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { describe, expect, test } from 'vitest';
import { fitPipeline, predictPipeline } from '../../src/estimators/pipeline.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { halfWidthsOf, halfWidthsOfStored, levels, placeOfLevel, rankOf } from '../../src/inference/half-widths.ts';
import { crossValPredict, kFold } from '../../src/training/cross-validation.ts';
import { pipelineParameters } from '../../src/training/pipeline-parameters.ts';
import { residualsToKeep } from '../../src/training/residuals.ts';
import { takeRows } from '../training/take-rows.ts';

type Levels = Record<string, { rank: number; halfwidth: number | 'inf' }>;
const golden = JSON.parse(
  readFileSync(new URL('../oracle/fixtures/learning-loop/conformal.json', import.meta.url), 'utf8'),
) as {
  fold: number[];
  out_of_fold_prediction: number[];
  residual: number[];
  levels: Levels;
  small: { n: number; levels: Levels }[];
  rows: number[];
  prediction: number[];
  interval: Record<string, [number, number][]>;
};
const dataset = loadHousingDataset();
const parameters = pipelineParameters(housing, 1);

describe('half-widths', () => {
  const at = (halfWidths: Float64Array, level: string) => halfWidths[placeOfLevel(Number(level))!];
  const expected = (halfwidth: number | 'inf') => (halfwidth === 'inf' ? Number.POSITIVE_INFINITY : halfwidth);

  test('have the rank and the value of MAPIE, to the last digit', () => {
    const sizes = residualsToKeep(Float64Array.from(golden.residual));
    for (const [level, { rank, halfwidth }] of Object.entries(golden.levels)) {
      expect(rankOf(sizes.length, Number(level))).toBe(rank);
      expect(at(halfWidthsOf(sizes), level)).toBe(halfwidth);
    }
  });

  test('of few errors are there for low levels alone', () => {
    expect(golden.small.length).toBeGreaterThan(3);
    for (const { n, levels: ofN } of golden.small) {
      const sizes = residualsToKeep(Float64Array.from(golden.residual.slice(0, n)));
      for (const [level, { rank, halfwidth }] of Object.entries(ofN)) {
        expect(rankOf(n, Number(level))).toBe(rank);
        expect(at(halfWidthsOf(sizes), level)).toBe(expected(halfwidth));
      }
    }
  });

  test('give the intervals of MAPIE around the predictions', () => {
    const halfWidths = halfWidthsOf(residualsToKeep(Float64Array.from(golden.residual)));
    for (const [level, intervals] of Object.entries(golden.interval)) {
      intervals.forEach(([lower, upper], i) => {
        expect(golden.prediction[i]! - at(halfWidths, level)!).toBeCloseTo(lower, 9);
        expect(golden.prediction[i]! + at(halfWidths, level)!).toBeCloseTo(upper, 9);
      });
    }
  });

  test('are never narrower when only some of many residuals are kept, and hardly wider', () => {
    const residuals = Float64Array.from({ length: 12_345 }, (_, i) => i / 12_345);
    const kept = residualsToKeep(residuals);
    expect(kept).toHaveLength(1_000);
    const [ofKept, ofAll] = [halfWidthsOf(kept), halfWidthsOf(residuals)];
    levels.forEach((_, place) => {
      expect(ofKept[place]!).toBeGreaterThanOrEqual(ofAll[place]!);
      expect(ofKept[place]! - ofAll[place]!).toBeLessThan(0.002);
    });
  });

  test('are refused where what is stored is not what a training stores', () => {
    expect(halfWidthsOfStored(null)).toBeNull();
    expect(halfWidthsOfStored([])).toEqual(new Float64Array(50).fill(Number.POSITIVE_INFINITY));
    for (const wrong of [
      [1, 0],
      [-1],
      [Number.NaN],
      [1, Number.POSITIVE_INFINITY],
      'x',
      {},
      [['1']],
      Array(10_001).fill(1),
    ]) {
      expect(() => halfWidthsOfStored(wrong)).toThrow(/residuals/);
    }
  });
});

test('levels are those in steps of 0.01, however they are written', () => {
  expect(levels.map((level) => level.toFixed(2))).toEqual(Array.from({ length: 50 }, (_, i) => `0.${50 + i}`));
  for (const level of levels) expect(levels[placeOfLevel(Number(level.toFixed(2)))!]).toBe(level);
  for (const wrong of [0.49, 1, 0.995, 0.905, Number.NaN]) expect(placeOfLevel(wrong)).toBeUndefined();
});

test('out-of-fold predictions and residuals are those of scikit-learn, in its folds', () => {
  const folds = Array.from({ length: 10 }, (_, fold) =>
    Uint32Array.from([...golden.fold.keys()].filter((row) => golden.fold[row] === fold)),
  );
  const outOfFold = crossValPredict(dataset, parameters, folds);
  golden.out_of_fold_prediction.forEach((prediction, row) => {
    expect(Math.abs(outOfFold[row]! - prediction)).toBeLessThan(1e-9);
    expect(Math.abs(dataset.y[row]! - outOfFold[row]! - golden.residual[row]!)).toBeLessThan(1e-9);
  });
});

test('90 % intervals hold for 88 to 93 % of rows that were not trained on, in the mean of 60 random splits', () => {
  const random = xoroshiro128plus(20261126);
  const coverages = Array.from({ length: 60 }, () => {
    const order = Array.from({ length: 506 }, (_, row) => row);
    for (let last = 505; last > 0; last--) {
      const other = uniformInt(random, 0, last);
      [order[last], order[other]] = [order[other]!, order[last]!];
    }
    const [training, others] = [takeRows(dataset, order.slice(0, 356)), takeRows(dataset, order.slice(356))];
    const outOfFold = crossValPredict(training, parameters, kFold(356, 10, uniformInt(random, 0, 1000)));
    const sizes = residualsToKeep(training.y.map((actual, row) => actual - outOfFold[row]!));
    const halfWidth = halfWidthsOf(sizes)[placeOfLevel(0.9)!]!;
    const predicted = predictPipeline(fitPipeline(training, parameters), others.X);
    return others.y.filter((actual, row) => Math.abs(actual - predicted[row]!) <= halfWidth).length / 150;
  });
  const mean = coverages.reduce((sum, coverage) => sum + coverage, 0) / coverages.length;
  expect(mean).toBeGreaterThan(0.88);
  expect(mean).toBeLessThan(0.93);
});
