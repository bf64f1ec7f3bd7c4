/**
 * The rows of a training that learns from the field: those of a base (the data set that ships, or a file) and labelled ones.
 *
 *     one row a vector     callers ask for the same house again and again: the truth that was observed last counts, also over the base
 *     held out             the newest labelled rows, later than what the champion has learned from: nothing of them is fitted
 *
 * A random part would be held out of the middle of time, and let the future into the fit.
 */
import type { Dataset, DenseMatrix } from '../estimators/dense-matrix.ts';
import { FEWEST_ROWS } from '../gate/verdict.ts';
import type { TrainingRows } from '../registry/pipeline-versions.ts';
import { datasetOf, type LabelledRow, vectorOf } from './labelled-rows.ts';

/** Rows to be fitted, and what is kept of where they came from. */
export interface FitRows {
  dataset: Dataset;
  trainingRows: TrainingRows;
  trainedThrough: Date | null;
}

export interface TrainingSet {
  /** All of them. */
  all: FitRows;
  /** Labelled rows, of different vectors, that the champion has not learned from; the newest first. */
  honest: readonly LabelledRow[];
  /** The newest of those, and the rest of all rows; undefined where they are too few to judge by. */
  split: { fit: FitRows; holdout: readonly LabelledRow[] } | undefined;
}

export interface TrainingSetOptions {
  base: Dataset;
  /** The newest first. */
  labelled: readonly LabelledRow[];
  /** False only judges by the labelled rows, and fits the base. */
  learns: boolean;
  /** Up to when the champion has learned from labelled rows. */
  championThrough: Date | null;
}

const SHARE_HELD_OUT = 0.2;
const MOST_HELD_OUT = 10_000;

export function composeTrainingSet({ base, labelled, learns, championThrough }: TrainingSetOptions): TrainingSet {
  const unique = newestOfEachVector(labelled);
  const wasSeen = ({ predictedAt }: LabelledRow) => championThrough !== null && predictedAt <= championThrough;
  const honest = unique.filter((row) => !wasSeen(row));
  const held = heldOut(honest, unique.length);
  const holdout = new Set(held);
  const learned = learns ? unique : [];
  const repeated = learns ? labelled.length - unique.length : 0;
  const fitOn = (rows: readonly LabelledRow[], without: readonly LabelledRow[]) =>
    fitRows(base, rows, { without: new Set(without.map(({ vector }) => vector)), repeated, labelled });
  const all = fitOn(learned, learned);
  if (!held) return { all, honest, split: undefined };
  const rest = learned.filter((row) => !holdout.has(row));
  const fit = fitOn(rest, [...learned, ...held]);
  // Without a base there may be no row left to fit.
  return { all, honest, split: fit.dataset.X.rows < FEWEST_ROWS ? undefined : { fit, holdout: held } };
}

/** One row a vector, that with the truth that was observed last; the newest first. */
export function newestOfEachVector(labelled: readonly LabelledRow[]): LabelledRow[] {
  const newest = new Map<string, LabelledRow>();
  for (const row of labelled) {
    const other = newest.get(row.vector);
    if (!other || row.observedAt > other.observedAt) newest.set(row.vector, row);
  }
  return labelled.filter((row) => newest.get(row.vector) === row);
}

/** Between two instants: rows of one batch share theirs, and are on one side, unless all that is new came in one batch. */
function heldOut(honest: readonly LabelledRow[], labelled: number): readonly LabelledRow[] | undefined {
  if (honest.length < FEWEST_ROWS) return undefined;
  const wanted = Math.min(Math.max(Math.ceil(SHARE_HELD_OUT * labelled), FEWEST_ROWS), MOST_HELD_OUT, honest.length);
  const from = honest[wanted - 1]!.predictedAt;
  const held = honest.filter(({ predictedAt }) => predictedAt >= from);
  return held.length === honest.length ? honest.slice(0, wanted) : held;
}

interface FitOptions {
  /** Vectors of which the base has no say. */
  without: ReadonlySet<string>;
  /** Labelled rows that were left out before. */
  repeated: number;
  /** All there are. */
  labelled: readonly LabelledRow[];
}

/** The base first, then the labelled rows in the order of time: the same rows are the same data set. */
function fitRows(base: Dataset, learned: readonly LabelledRow[], { without, repeated, labelled }: FitOptions): FitRows {
  const kept = rowsWithout(base, without);
  const rows = learned.toReversed();
  const more = datasetOf(rows, base.X.columns);
  const [first, last] = [rows.at(0), rows.at(-1)];
  const trainingRows: TrainingRows = {
    shipped: kept.X.rows,
    labelled: rows.length,
    duplicates: base.X.rows - kept.X.rows + repeated,
  };
  if (first && last) {
    trainingRows.labelled_from = first.predictedAt.toISOString();
    trainingRows.labelled_to = last.predictedAt.toISOString();
    trainingRows.labels_received_until = latest(rows).toISOString();
  }
  return { dataset: joined(kept, more), trainingRows, trainedThrough: lastSeen(labelled, learned, kept) };
}

/** When a row was answered last that is in the fit: learned, or in the base too, as of a file that was made of the stored ones. */
function lastSeen(labelled: readonly LabelledRow[], learned: readonly LabelledRow[], base: Dataset): Date | null {
  if (labelled.length === 0) return null;
  const vectors = new Set([...learned.map(({ vector }) => vector), ...vectorsOf(base)]);
  return labelled.find(({ vector }) => vectors.has(vector))?.predictedAt ?? null;
}

const latest = (rows: readonly LabelledRow[]) =>
  rows.reduce((newest, { receivedAt }) => (receivedAt > newest ? receivedAt : newest), rows[0]!.receivedAt);

function rowsWithout({ X, y }: Dataset, vectors: ReadonlySet<string>): Dataset {
  if (vectors.size === 0) return { X, y };
  const vectorsOfRows = vectorsOf({ X, y });
  const kept = Array.from(y.keys()).filter((i) => !vectors.has(vectorsOfRows[i]!));
  const data = new Float64Array(kept.length * X.columns);
  for (const [place, i] of kept.entries()) data.set(rowOf(X, i), place * X.columns);
  return { X: { rows: kept.length, columns: X.columns, data }, y: Float64Array.from(kept, (i) => y[i]!) };
}

const rowOf = ({ columns, data }: DenseMatrix, i: number) => data.subarray(i * columns, (i + 1) * columns);

const vectorsOf = ({ X, y }: Dataset) => Array.from(y.keys(), (i) => vectorOf(rowOf(X, i)));

function joined(a: Dataset, b: Dataset): Dataset {
  if (b.X.rows === 0) return a;
  const data = new Float64Array(a.X.data.length + b.X.data.length);
  data.set(a.X.data);
  data.set(b.X.data, a.X.data.length);
  return {
    X: { rows: a.X.rows + b.X.rows, columns: a.X.columns, data },
    y: Float64Array.from([...a.y, ...b.y]),
  };
}
