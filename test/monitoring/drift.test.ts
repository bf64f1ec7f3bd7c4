import { readFileSync } from 'node:fs';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { describe, expect, test } from 'vitest';
import { referenceOf } from '../../src/contract/reference-profile.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { type AlarmRow, afterLook } from '../../src/monitoring/alarms.ts';
import { benjaminiHochberg, distanceBetween, statusOf, upperTail } from '../../src/monitoring/drift-measures.ts';
import { alarmingOf, driftOf } from '../../src/monitoring/drift-report.ts';
import type { WindowSums } from '../../src/monitoring/feature-histograms.ts';
import type { MonitoredVersion } from '../../src/registry/monitored-versions.ts';
import { featureProfile } from '../../src/training/feature-profile.ts';

function fixture<Content>(name: string): Content {
  return JSON.parse(
    readFileSync(new URL(`../oracle/fixtures/learning-loop/${name}.json`, import.meta.url), 'utf8'),
  ) as Content;
}

function expectNear(found: readonly number[], expected: readonly number[], within: number): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, one] of found.entries()) expect(Math.abs(one - expected[i]!)).toBeLessThanOrEqual(within);
}

test('the tail of chi-square and adjusted p-values are those of scipy', () => {
  const { chi2_sf, benjamini_hochberg } = fixture<{
    chi2_sf: { x: number; df: number; p: number }[];
    benjamini_hochberg: { p: number[]; adjusted: number[] }[];
  }>('distributions');
  for (const { x, df, p } of chi2_sf) expect(Math.abs(upperTail(x, df) - p)).toBeLessThanOrEqual(1e-12 * p);
  for (const { p, adjusted } of benjamini_hochberg) {
    expectNear(benjaminiHochberg(p), adjusted, 1e-12);
  }
});

test('index, noise and test are those of the golden data', () => {
  interface Scenario {
    features: {
      reference_counts: number[];
      current_counts: number[];
      ridgeline: { psi: number; psi_expected_without_drift: number; p: number };
    }[];
    p: number[];
    benjamini_hochberg: number[];
  }
  const { scenarios } = fixture<{ scenarios: Scenario[] }>('drift');
  for (const { features, p, benjamini_hochberg } of scenarios) {
    for (const { reference_counts, current_counts, ridgeline } of features) {
      const found = distanceBetween(reference_counts, current_counts);
      expect(Math.abs(found.psi - ridgeline.psi)).toBeLessThan(1e-9);
      expect(Math.abs(found.noise - ridgeline.psi_expected_without_drift)).toBeLessThan(1e-9);
      expect(Math.abs(found.p - ridgeline.p)).toBeLessThan(1e-9);
    }
    expectNear(benjaminiHochberg(p), benjamini_hochberg, 1e-9);
  }
});

test('bins that hold nothing are no degree of freedom, and one bin proves nothing', () => {
  expect(distanceBetween([5, 0, 5], [5, 0, 5]).p).toBe(1);
  expect(distanceBetween([10, 0], [500, 0]).p).toBe(1);
  expect(distanceBetween([10, 0], [0, 500]).p).toBeLessThan(1e-9);
  expect(statusOf(0.25, 0.02)).toBe('ok');
  expect(statusOf(0.15, 0.001)).toBe('watch');
  expect(statusOf(0.25, 0.001)).toBe('drift');
});

const { X } = loadHousingDataset();
const RM = housing.names.indexOf('RM');
const profiles = featureProfile(X, housing);
const references = new Map(housing.names.map((name) => [name, referenceOf(profiles[name])!]));
const version: MonitoredVersion = {
  ...{
    pipelineVersion: 'v',
    contract: housing,
    references,
    predictions: undefined,
    residuals: null,
    trainedThrough: null,
  },
  explanation: {
    base_value: 22,
    features: { RM: { kind: 'numerical', slope: 4, mean: references.get('RM')!.range!.mean, missing: 0 } },
  },
};

type Sums = Map<string, WindowSums>;
const emptySums = (): Sums =>
  new Map(
    [...references].map(([name, { counts }]) => [
      name,
      { rows: 0, counts: counts.map(() => 0), missing: 0, below: 0, above: 0, mean: 0 },
    ]),
  );

/** Rows of Boston drawn at random, counted as an hour of predictions is; RM is moved by so much. */
function drawHour(random: ReturnType<typeof xoroshiro128plus>, rows: number, shift = 0): Sums {
  const sums = emptySums();
  for (let i = 0; i < rows; i++) {
    const row = uniformInt(random, 0, X.rows - 1);
    housing.names.forEach((name, column) => {
      const value = X.data[row * X.columns + column]! + (column === RM ? shift : 0);
      const { bins, range } = references.get(name)!;
      const sum = sums.get(name)!;
      const bin =
        bins.kind === 'edges'
          ? bins.edges.filter((edge) => edge <= value).length
          : bins.kind === 'categories'
            ? (bins.categories.indexOf(String(value)) + bins.categories.length + 1) % (bins.categories.length + 1)
            : Number(value !== bins.value);
      sum.counts[bin]!++;
      sum.rows++;
      sum.mean = sum.mean! + (value - sum.mean!) / sum.rows;
      if (range && value < range.min) sum.below++;
      if (range && value > range.max) sum.above++;
    });
  }
  return sums;
}

function add(all: readonly Sums[]): Sums {
  const total = emptySums();
  for (const hour of all)
    for (const [name, one] of hour) {
      const sum = total.get(name)!;
      sum.mean = sum.rows + one.rows === 0 ? 0 : (sum.mean! * sum.rows + one.mean! * one.rows) / (sum.rows + one.rows);
      for (const key of ['rows', 'missing', 'below', 'above'] as const) sum[key] += one[key];
      sum.counts = sum.counts.map((count, bin) => count + one.counts[bin]!);
    }
  return total;
}

const at = (hour: number) => new Date(Date.UTC(2026, 10, 1) + hour * 3_600_000);
const judge = (sums: Sums, hour = 0) =>
  driftOf(version, { from: at(hour - 24), to: at(hour), rows: sums.get('RM')!.rows, sums });

describe('stable traffic', () => {
  test.each([200, 500, 1000, 2000, 5000])('in windows of %s rows is hardly ever told to drift', (rows) => {
    const random = xoroshiro128plus(rows);
    const windows = Math.min(1000, 400_000 / rows);
    const statuses = Array.from({ length: windows }, () => judge(drawHour(random, rows)).status);
    const share = (status: string) => statuses.filter((one) => one === status).length / windows;
    expect(share('drift')).toBeLessThanOrEqual(0.005);
    expect(share('watch') + share('drift')).toBeLessThanOrEqual(0.03);
  });

  test('raises no alarm in 30 days', () => {
    const random = xoroshiro128plus(30);
    let alarm: AlarmRow = { state: 'ok', since: null, looks: 0 };
    const hours: Sums[] = [];
    for (let hour = 0; hour < 30 * 24; hour++) {
      hours.push(drawHour(random, 15));
      const drift = judge(add(hours.slice(-24)), hour);
      const { names, isOver } = alarmingOf(drift);
      alarm = afterLook(alarm, { holds: names.length > 0, isOver, value: null, detail: {} }, at(hour));
      expect(alarm.state).not.toBe('firing');
    }
  });
});

test.each([1, 2, 3])(
  'half a standard deviation of RM is watched within 20 hours, told within 26, alarmed six later: seed %s',
  (seed) => {
    const random = xoroshiro128plus(100 + seed);
    const shift = references.get('RM')!.range!.sd / 2;
    const hours: Sums[] = Array.from({ length: 24 }, () => drawHour(random, 50));
    let alarm: AlarmRow = { state: 'ok', since: null, looks: 0 };
    let [watch, drift, firing] = [0, 0, 0];
    for (let hour = 1; hour <= 40; hour++) {
      hours.push(drawHour(random, 50, shift));
      const found = judge(add(hours.slice(-24)), hour);
      const { names, isOver } = alarmingOf(found);
      alarm = afterLook(alarm, { holds: names.length > 0, isOver, value: null, detail: {} }, at(hour));
      if (found.status !== 'ok') watch ||= hour;
      if (found.status === 'drift') drift ||= hour;
      if (alarm.state === 'firing') firing ||= hour;
      if (hour === 40) {
        expect(names).toEqual(['RM']);
        const rm = found.features[RM]!;
        expect(rm.mean_shift_sd).toBeGreaterThan(0.4);
        expect(rm.effect).toBeCloseTo(4 * rm.mean_shift_sd! * references.get('RM')!.range!.sd, 9);
      }
    }
    expect(watch).toBeGreaterThan(0);
    expect(watch).toBeLessThanOrEqual(20);
    expect(drift).toBeGreaterThan(0);
    expect(drift).toBeLessThanOrEqual(26);
    expect(firing - drift).toBeGreaterThanOrEqual(5);
    expect(firing - drift).toBeLessThanOrEqual(8);
  },
);

test('few rows say nothing, and a version that kept no bins has no reference', () => {
  const random = xoroshiro128plus(5);
  expect(judge(drawHour(random, 199)).status).toBe('not_enough_rows');
  const without = driftOf(
    { ...version, references: new Map() },
    { from: at(0), to: at(1), rows: 300, sums: drawHour(random, 300) },
  );
  expect(without.status).toBe('no_reference');
  expect(without.features).toHaveLength(13);
});

test('categories that training lacks and values out of its range are alarming by their share', () => {
  const sums = drawHour(xoroshiro128plus(6), 400);
  sums.get('RAD')!.counts[9] = 5;
  sums.get('LSTAT')!.above = 30;
  const drift = judge(sums);
  const [rad, lstat] = ['RAD', 'LSTAT'].map((name) => drift.features[housing.names.indexOf(name)]!);
  expect(rad!.unseen_share).toBeCloseTo(5 / 400, 9);
  expect(lstat!.outside_share).toBeCloseTo(30 / 400, 9);
  expect(alarmingOf(drift).names.sort()).toEqual(['LSTAT', 'RAD']);
});
