/** Live quality as operators are told of it: GET /monitoring/quality, the gauges, and what the alarms are judged by. */
import type { Queryable } from '../database/pool.ts';
import { type Role, standingsOf, type VersionStanding } from '../registry/version-catalogue.ts';
import { type AlarmState, readAlarms } from './alarms.ts';
import { readPredictionDays, startOfHour, together, type Window } from './feature-histograms.ts';
import { countWaitingCells, LEVEL, readCells, type StoredCell } from './live-quality.ts';
import { populationStabilityIndex } from './psi.ts';
import { type Coverage, coverageOf, measuresOf, postStratified, type QualityMeasures } from './quality-measures.ts';

export interface QualityReport {
  /** When the newest of the cells was computed; null without any. */
  computed_at: string | null;
  /** Cells that have changed since they were computed. */
  waiting_cells: number;
  from: string;
  to: string;
  versions: VersionQuality[];
}

/** Of errors in the target's unit; all of them null with fewer than 30 labels. */
type Measures = { [Name in Exclude<keyof QualityMeasures, 'labels'>]: number | null };

export interface VersionQuality extends Measures {
  version: string;
  role: Role;
  status: 'ok' | 'not_enough_labels';
  labels: number;
  /** In hours that are over; null where they have not been counted. */
  predictions: number | null;
  label_share: number | null;
  cv_rmse: number | null;
  post_stratified_rmse: number | null;
  post_stratified_share: number | null;
  /** Stability index of the labelled predictions against all. */
  label_bias: number | null;
  coverage: Coverage | null;
  alarm: { state: AlarmState; since: string | null };
  daily: DailyQuality[];
}

export interface DailyQuality {
  day: string;
  /** Whether nearly all labels that will come have come. */
  mature: boolean;
  labels: number;
  predictions: number | null;
  rmse: number | null;
  mae: number | null;
  bias: number | null;
  label_delay_p50_seconds: number | null;
  label_delay_p95_seconds: number | null;
}

/** Fewer say nothing. */
const FEWEST_LABELS = 30;
/** From here on the labelled predictions are others than all are. */
const BIASED = 0.1;
const DAY_MS = 24 * 3_600_000;
/** Of labels, from which their usual delay is taken. */
const DAYS_OF_DELAY = 30;
const DELAY_SHARE = 0.95;

/** Of the predictions of the last `days` days (UTC), today among them. */
export async function readQuality(
  client: Queryable,
  { now, days }: { now: Date; days: number },
): Promise<QualityReport> {
  const [from, to] = [dayAt(now, 1 - days), dayAt(now, 0)];
  const recent = await readCells(client, dayAt(now, 1 - Math.max(days, DAYS_OF_DELAY)), to);
  const matureUntil = maturity(
    recent.filter(({ day }) => day >= dayAt(now, 1 - DAYS_OF_DELAY)),
    now,
  );
  const cells = recent.filter(({ day }) => day >= from);
  const predictions = await readPredictionDays(client, new Date(`${from}T00:00:00Z`), startOfHour(now));
  const standings = await standingsOf(client, [...new Set([...cells.map(versionOf), ...predictions.keys()])], now);
  const alarms = new Map((await readAlarms(client)).map((alarm) => [alarm.subject, alarm]));
  return {
    computed_at: newest(cells)?.toISOString() ?? null,
    waiting_cells: await countWaitingCells(client),
    from,
    to,
    versions: standings.map((standing) => {
      const alarm = alarms.get(`quality:${standing.version}`);
      return {
        ...qualityOf(standing, {
          cells: cells.filter((cell) => versionOf(cell) === standing.version),
          days: predictions.get(standing.version) ?? new Map<string, Window>(),
          matureUntil,
        }),
        alarm: { state: alarm?.state ?? 'ok', since: alarm?.since?.toISOString() ?? null },
      };
    }),
  };
}

interface Known {
  cells: readonly StoredCell[];
  /** All predictions of a day, of those that were counted. */
  days: ReadonlyMap<string, Window>;
  /** Days before this time are mature; undefined while nothing is known of delays. */
  matureUntil: number | undefined;
}

/** Quality from cells of one version, and what may be told of the days. */
function qualityOf(standing: VersionStanding, { cells, days, matureUntil }: Known): Omit<VersionQuality, 'alarm'> {
  const measures = measuresOf(cells);
  const labels = measures?.labels ?? 0;
  const isEnough = labels >= FEWEST_LABELS;
  const { labels: _, ...told } = isEnough ? measures! : nothing;
  const all = days.size > 0 ? [...days.values()].reduce(together) : undefined;
  const predictions = all?.predictions ?? null;
  const allDays = [...new Set([...cells.map(({ day }) => day), ...days.keys()])].sort();
  return {
    ...standing,
    status: isEnough ? 'ok' : 'not_enough_labels',
    labels,
    predictions,
    label_share: predictions ? Math.min(1, labels / predictions) : null,
    ...told,
    ...(isEnough ? selection(cells, all?.counts) : unselected),
    coverage: isEnough ? coverageOf(cells, LEVEL) : null,
    daily: allDays.map((day) => {
      const cell = cells.find((one) => one.day === day);
      const ofDay = cell && isEnough ? measuresOf([cell]) : undefined;
      return {
        day,
        mature: matureUntil !== undefined && Date.parse(day) + DAY_MS <= matureUntil,
        labels: cell?.labelled ?? 0,
        predictions: days.get(day)?.predictions ?? null,
        rmse: ofDay?.rmse ?? null,
        mae: ofDay?.mae ?? null,
        bias: ofDay?.bias ?? null,
        label_delay_p50_seconds: cell?.delay_p50 ?? null,
        label_delay_p95_seconds: cell?.delay_p95 ?? null,
      };
    }),
  };
}

const nothing = { labels: 0, rmse: null, rmse_lower: null, rmse_upper: null, mae: null, bias: null, r2: null };
const unselected = { label_bias: null, post_stratified_rmse: null, post_stratified_share: null };

/** Whether the labelled predictions are like all others and, where they are not, what the RMSE of all would be. */
function selection(cells: readonly StoredCell[], all: readonly number[] | undefined): typeof unselected | Selection {
  const bins = all?.length ?? 0;
  if (!all || !cells.every(({ bin_labels, bin_squared_errors }) => bin_labels?.length === bins && bin_squared_errors)) {
    return unselected;
  }
  const strata = all.map((predictions, bin) => ({
    predictions,
    labels: cells.reduce((sum, { bin_labels }) => sum + bin_labels![bin]!, 0),
    squaredError: cells.reduce((sum, { bin_squared_errors }) => sum + bin_squared_errors![bin]!, 0),
  }));
  const label_bias = populationStabilityIndex(
    all,
    strata.map(({ labels }) => labels),
  );
  const mended = label_bias >= BIASED ? postStratified(strata) : undefined;
  return { label_bias, post_stratified_rmse: mended?.rmse ?? null, post_stratified_share: mended?.share ?? null };
}

interface Selection {
  label_bias: number;
  post_stratified_rmse: number | null;
  post_stratified_share: number | null;
}

/** Only what is mature, which is what alarms are judged by: the first labels of a day are the fast ones. */
export function onlyMature(cells: readonly StoredCell[], now: Date): StoredCell[] {
  const until = maturity(
    cells.filter(({ day }) => day >= dayAt(now, 1 - DAYS_OF_DELAY)),
    now,
  );
  return cells.filter(({ day }) => until !== undefined && Date.parse(day) + DAY_MS <= until);
}

/** Of days that ended before, 95 % of the labels have come, by the delays of all labels there are; undefined without any. */
function maturity(cells: readonly StoredCell[], now: Date): number | undefined {
  const labels = cells.reduce((sum, { labelled }) => sum + labelled, 0);
  let below = 0;
  for (const { delay_p95, labelled } of cells.toSorted((a, b) => a.delay_p95 - b.delay_p95)) {
    below += labelled;
    if (below >= DELAY_SHARE * labels) return now.getTime() - delay_p95 * 1000;
  }
  return undefined;
}

/** The day (UTC) so many days after today. */
export function dayAt(now: Date, days: number): string {
  return new Date(now.getTime() + days * DAY_MS).toISOString().slice(0, 10);
}

const versionOf = ({ pipeline_version }: StoredCell) => pipeline_version;

function newest(cells: readonly StoredCell[]): Date | undefined {
  return cells.map(({ computed_at }) => computed_at).sort((a, b) => b.getTime() - a.getTime())[0];
}
