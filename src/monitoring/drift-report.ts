/** Drift as operators are told of it: GET /monitoring/drift, the gauges, and what the alarm is judged by. */
import type { Contract } from '../contract/contract.ts';
import { mayBeMissing } from '../contract/contract.ts';
import type { Reference } from '../contract/reference-profile.ts';
import type { Queryable } from '../database/pool.ts';
import type { CategoricalEffect, Explanation, NumericalEffect } from '../inference/explanation.ts';
import type { MonitoredVersion } from '../registry/monitored-versions.ts';
import { standingsOf } from '../registry/version-catalogue.ts';
import { type AlarmState, readAlarms } from './alarms.ts';
import {
  benjaminiHochberg,
  DRIFT,
  type DriftStatus,
  distanceBetween,
  FEWEST_ROWS,
  statusOf,
} from './drift-measures.ts';
import { readWindows, type WindowOfVersion, type WindowSums } from './feature-histograms.ts';
import { createMonitoredVersions } from './monitored-versions.ts';

export interface DriftReport {
  /** The end of the last hour that was counted; null before the first. */
  computed_at: string | null;
  versions: VersionDrift[];
}

export interface VersionDrift {
  version: string;
  status: DriftStatus;
  window: { from: string; to: string; rows: number };
  alarm: { state: AlarmState; since: string | null; features: string[] };
  prediction: FeatureDrift;
  features: FeatureDrift[];
}

export interface FeatureDrift {
  name: string;
  status: DriftStatus;
  psi: number | null;
  noise: number | null;
  p: number | null;
  p_adjusted: number | null;
  /** In standard deviations of the training data. */
  mean_shift_sd: number | null;
  /** Of categories. */
  unseen_share: number | null;
  /** Outside of the range of the training data. */
  outside_share: number | null;
  missing_share: number | null;
  /** By how much the shift of this feature moves predictions on average, in the target's unit. */
  effect: number | null;
}

/** Shares that are a reason for an alarm by themselves. */
const MOST_OUTSIDE = 0.05;
const MOST_UNSEEN = 0.01;
/** A condition is over when it is below this part of its limit. */
const CLEARLY = 0.8;
const PREDICTION = 'prediction';

/** Of the versions that answered in the last seven days, the one that was served last first. */
export async function readDrift(
  client: Queryable,
  { now, shipped }: { now: Date; shipped: Contract },
): Promise<DriftReport> {
  const versions = createMonitoredVersions(client, shipped);
  const windows = await readWindows(client, now);
  const standings = await standingsOf(client, [...windows.keys()], now);
  const alarms = new Map((await readAlarms(client)).map((alarm) => [alarm.subject, alarm]));
  const reports: VersionDrift[] = [];
  for (const { version } of standings) {
    const known = await versions(version);
    if (!known) continue;
    const alarm = alarms.get(`drift:${version}`);
    const features = (alarm?.detail.features ?? []) as string[];
    reports.push({
      ...driftOf(known, windows.get(version)!),
      alarm: { state: alarm?.state ?? 'ok', since: alarm?.since?.toISOString() ?? null, features },
    });
  }
  const ends = [...windows.values()].map(({ to }) => to.getTime());
  return { computed_at: ends.length > 0 ? new Date(Math.max(...ends)).toISOString() : null, versions: reports };
}

/** Of one version in a window. */
export function driftOf(version: MonitoredVersion, window: WindowOfVersion): Omit<VersionDrift, 'alarm'> {
  const { contract, references, predictions } = version;
  const { features: effects = {} } = (version.explanation ?? {}) as Partial<Explanation>;
  const asked = (contract?.features ?? []).map((feature) => ({
    name: feature.name,
    reference: references.get(feature.name),
    sums: window.sums.get(feature.name),
    hasMissing: mayBeMissing(feature),
    effect: Object.hasOwn(effects, feature.name) ? effects[feature.name] : undefined,
  }));
  const prediction = { name: PREDICTION, reference: predictions, sums: window.sums.get(''), hasMissing: false };
  const measured = [prediction, ...asked].map(measure);
  const ps = benjaminiHochberg(measured.flatMap(({ p }) => p ?? []));
  let next = 0;
  const [ofPrediction, ...features] = measured.map((one): FeatureDrift => {
    if (one.p === null || one.psi === null) return one;
    const p_adjusted = ps[next++]!;
    return { ...one, p_adjusted, status: statusOf(one.psi, p_adjusted) };
  });
  return {
    version: version.pipelineVersion,
    status: worstOf([ofPrediction!, ...features]),
    window: { from: window.from.toISOString(), to: window.to.toISOString(), rows: window.rows },
    prediction: ofPrediction!,
    features,
  };
}

interface Measured {
  name: string;
  reference: Reference | undefined;
  sums: WindowSums | undefined;
  hasMissing: boolean;
  effect?: NumericalEffect | CategoricalEffect | undefined;
}

const nothing = { psi: null, noise: null, p: null, p_adjusted: null, mean_shift_sd: null, effect: null };
const noShares = { unseen_share: null, outside_share: null, missing_share: null };

function measure({ name, reference, sums, hasMissing, effect }: Measured): FeatureDrift {
  if (!reference || !sums || sums.counts.length !== reference.counts.length) {
    return { name, status: 'no_reference', ...nothing, ...noShares };
  }
  const { rows, counts, missing, below, above } = sums;
  const shares = {
    unseen_share: reference.bins.kind === 'categories' && rows > 0 ? counts.at(-1)! / rows : null,
    outside_share: reference.range && rows > 0 ? (below + above) / rows : null,
    missing_share: rows > 0 ? missing / rows : null,
  };
  if (rows < FEWEST_ROWS) return { name, status: 'not_enough_rows', ...nothing, ...shares };
  const withMissing = (of: { counts: readonly number[]; missing: number }) =>
    hasMissing ? [...of.counts, of.missing] : of.counts;
  return {
    ...{ name, status: 'ok' as const, ...nothing, ...distanceBetween(withMissing(reference), withMissing(sums)) },
    mean_shift_sd: shiftOf(reference, sums),
    ...shares,
    effect: effect ? effectOf(effect, reference, sums) : null,
  };
}

function shiftOf({ range }: Reference, { mean }: WindowSums): number | null {
  return range && range.sd > 0 && mean !== null ? (mean - range.mean) / range.sd : null;
}

/** Missing values apart, which are no shift of those that are there. */
function effectOf(
  effect: NumericalEffect | CategoricalEffect,
  { bins, counts: before, range }: Reference,
  { counts: after, mean }: WindowSums,
): number | null {
  if (effect.kind === 'numerical') return range && mean !== null ? effect.slope * (mean - range.mean) : null;
  if (bins.kind !== 'categories') return null;
  const known = new Map(Object.entries(effect.effects));
  const total = (counts: readonly number[]) =>
    Math.max(
      1,
      counts.reduce((sum, count) => sum + count, 0),
    );
  return [...bins.categories, undefined].reduce((sum, category, bin) => {
    const adds = (category === undefined ? undefined : known.get(category)) ?? effect.other;
    return sum + adds * (after[bin]! / total(after) - before[bin]! / total(before));
  }, 0);
}

function worstOf(features: readonly FeatureDrift[]): DriftStatus {
  const order = ['drift', 'watch', 'ok', 'not_enough_rows', 'no_reference'] as const;
  return order.find((status) => features.some((feature) => feature.status === status)) ?? 'no_reference';
}

/** What the alarm of a version is judged by: the features for which it holds, and whether it is clearly over. */
export function alarmingOf({ prediction, features }: Pick<VersionDrift, 'prediction' | 'features'>): {
  names: string[];
  isOver: boolean;
} {
  const all = [prediction, ...features];
  const isNear = ({ psi, unseen_share, outside_share }: FeatureDrift, part: number) =>
    (psi ?? 0) >= part * DRIFT ||
    (unseen_share ?? 0) >= part * MOST_UNSEEN ||
    (outside_share ?? 0) >= part * MOST_OUTSIDE;
  const enough = all.filter(({ status }) => status !== 'not_enough_rows' && status !== 'no_reference');
  const holds = ({ status, unseen_share, outside_share }: FeatureDrift) =>
    status === 'drift' || (unseen_share ?? 0) >= MOST_UNSEEN || (outside_share ?? 0) >= MOST_OUTSIDE;
  return {
    names: enough.filter(holds).map(({ name }) => name),
    isOver: !enough.some((one) => isNear(one, CLEARLY)),
  };
}
