import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { populationStabilityIndex } from '../../src/monitoring/psi.ts';
import { coverageOf, measuresOf, postStratified, type QualityCell } from '../../src/monitoring/quality-measures.ts';

function fixture<Content>(name: string): Content {
  return JSON.parse(
    readFileSync(new URL(`../oracle/fixtures/learning-loop/${name}.json`, import.meta.url), 'utf8'),
  ) as Content;
}

interface Row {
  prediction: number;
  actual: number;
}

/** What SQL makes of the rows of a cell, in the plainest way. */
function cellOf(rows: readonly Row[], halfWidth = 6): QualityCell {
  const n = rows.length;
  const errors = rows.map(({ prediction, actual }) => prediction - actual);
  const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / n;
  const squares = errors.map((error) => error * error);
  const mse = mean(squares);
  const meanActual = mean(rows.map(({ actual }) => actual));
  return {
    labelled: n,
    mean_error: mean(errors),
    mean_absolute_error: mean(errors.map(Math.abs)),
    mean_squared_error: mse,
    var_squared_error: n < 2 ? null : squares.reduce((sum, one) => sum + (one - mse) ** 2, 0) / (n - 1),
    mean_actual: meanActual,
    syy_actual: rows.reduce((sum, { actual }) => sum + (actual - meanActual) ** 2, 0),
    covered: errors.filter((error) => Math.abs(error) <= halfWidth).length,
  };
}

interface Golden {
  rows: { created_at_ms: number; pipeline_version: string; prediction: number; actual: number | null }[];
  interval_halfwidth: number;
  days_start_ms: number;
  by_version: Record<string, Measured & { post_stratified: { edges: number[]; rmse: number; share_covered: number } }>;
  by_version_and_day: (Measured & { pipeline_version: string; day: number })[];
}
interface Measured {
  labelled: number;
  rmse: number;
  mae: number;
  bias: number;
  r2: number;
  rmse_lower: number;
  rmse_upper: number;
  covered: number;
  coverage: number;
  coverage_interval: { wilson: [number, number] };
}

describe('live quality', () => {
  const golden = fixture<Golden>('quality');
  const labelled = golden.rows.filter((row): row is typeof row & Row => row.actual !== null);
  const dayOf = ({ created_at_ms }: { created_at_ms: number }) =>
    Math.floor((created_at_ms - golden.days_start_ms) / 86_400_000);
  const near = (found: number | null, expected: number) => expect(Math.abs(found! - expected)).toBeLessThan(1e-9);

  function expectMeasured(cells: QualityCell[], expected: Measured): void {
    const found = measuresOf(cells)!;
    expect(found.labels).toBe(expected.labelled);
    for (const name of ['rmse', 'mae', 'bias', 'r2', 'rmse_lower', 'rmse_upper'] as const)
      near(found[name], expected[name]);
    const coverage = coverageOf(cells, 0.9)!;
    expect(coverage.covered).toBe(expected.covered);
    near(coverage.share, expected.coverage);
    near(coverage.lower, expected.coverage_interval.wilson[0]);
    near(coverage.upper, expected.coverage_interval.wilson[1]);
  }

  test('of a version and a day is that of scikit-learn and scipy', () => {
    for (const expected of golden.by_version_and_day) {
      const rows = labelled.filter(
        (row) => row.pipeline_version === expected.pipeline_version && dayOf(row) === expected.day,
      );
      expectMeasured([cellOf(rows, golden.interval_halfwidth)], expected);
    }
  });

  test('of several days together is that of all their rows', () => {
    for (const [version, expected] of Object.entries(golden.by_version)) {
      const ofVersion = labelled.filter((row) => row.pipeline_version === version);
      const days = [...new Set(ofVersion.map(dayOf))];
      const cells = days.map((day) =>
        cellOf(
          ofVersion.filter((row) => dayOf(row) === day),
          golden.interval_halfwidth,
        ),
      );
      expectMeasured(cells, expected);
    }
  });

  test('post-stratified is that of the golden data', () => {
    for (const [version, { post_stratified: expected }] of Object.entries(golden.by_version)) {
      const binOf = (prediction: number) => expected.edges.filter((edge) => edge <= prediction).length;
      const strata = Array.from({ length: expected.edges.length + 1 }, (_, bin) => {
        const all = golden.rows.filter((row) => row.pipeline_version === version && binOf(row.prediction) === bin);
        const known = all.flatMap(({ prediction, actual }) => (actual === null ? [] : (prediction - actual) ** 2));
        return { labels: known.length, squaredError: known.reduce((a, b) => a + b, 0), predictions: all.length };
      });
      const { rmse, share } = postStratified(strata)!;
      near(rmse, expected.rmse);
      near(share, expected.share_covered);
    }
  });

  test('leaves bins without labels out, and says what share the others are', () => {
    expect(
      postStratified([
        { labels: 2, squaredError: 8, predictions: 30 },
        { labels: 0, squaredError: 0, predictions: 70 },
      ]),
    ).toEqual({ rmse: 2, share: 0.3 });
    expect(postStratified([{ labels: 0, squaredError: 0, predictions: 5 }])).toBeUndefined();
    expect(postStratified([])).toBeUndefined();
  });

  test('of one row has no interval, and of a constant truth an R2 of 0 or 1', () => {
    expect(measuresOf([cellOf([{ prediction: 3, actual: 1 }])])).toEqual({
      ...{ labels: 1, bias: 2, mae: 2, rmse: 2, rmse_lower: null, rmse_upper: null, r2: 0 },
    });
    expect(measuresOf([cellOf([{ prediction: 1, actual: 1 }])])!.r2).toBe(1);
    expect(measuresOf([])).toBeUndefined();
    expect(coverageOf([], 0.9)).toBeNull();
    expect(coverageOf([{ ...cellOf([{ prediction: 3, actual: 1 }]), covered: null }], 0.9)).toBeNull();
  });

  test('does not depend on how rows are cut into cells', () => {
    const row = fc.record({
      prediction: fc.double({ min: -1e3, max: 1e3, noNaN: true }),
      actual: fc.double({ min: -1e3, max: 1e3, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(fc.array(row, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 }), (days) => {
        const [joined, whole] = [measuresOf(days.map((rows) => cellOf(rows)))!, measuresOf([cellOf(days.flat())])!];
        for (const name of ['rmse', 'mae', 'bias'] as const) {
          expect(Math.abs(joined[name] - whole[name])).toBeLessThanOrEqual(1e-9 * (1 + Math.abs(whole.rmse)));
        }
        if (whole.rmse_upper === null) return;
        expect(Math.abs(joined.rmse_upper! - whole.rmse_upper)).toBeLessThanOrEqual(1e-9 * (1 + whole.rmse_upper));
      }),
    );
  });
});

test('the stability index is that of the golden data', () => {
  const { scenarios } = fixture<{
    scenarios: {
      features: { reference_counts: number[]; current_counts: number[]; ridgeline: { psi: number } }[];
    }[];
  }>('drift');
  const features = scenarios.flatMap((scenario) => scenario.features);
  expect(features.length).toBeGreaterThan(20);
  for (const { reference_counts, current_counts, ridgeline } of features) {
    expect(Math.abs(populationStabilityIndex(reference_counts, current_counts) - ridgeline.psi)).toBeLessThan(1e-9);
  }
});
