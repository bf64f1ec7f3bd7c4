/** Predictions and labels of housing as they would be stored, made up from its rows, without a server. */
import type { Pool } from '../../src/database/pool.ts';
import { recordLabels } from '../../src/ground-truth/record-labels.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';

const { X, y } = loadHousingDataset();

/** A UUID version 7 of a time, whose last bytes are those of a number. */
export function predictionIdAt(time: Date | number, number = 0): string {
  const hex = new Date(time).getTime().toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${number.toString(16).padStart(12, '0')}`;
}

export interface MadePrediction {
  predictionId: string;
  predictedAt: Date;
  prediction: number;
  actual: number;
  row: number;
}

export interface MadeTraffic {
  version: string;
  from: Date;
  /** Rows of housing, one after another, at this distance in time. */
  rows: number;
  everyMs: number;
  /** What is answered to a row whose truth is given. */
  answer?: (actual: number, row: number) => number;
}

/** Stores predictions, as the relay would. */
export async function storePredictions(pool: Pool, traffic: MadeTraffic): Promise<MadePrediction[]> {
  const { version, from, rows, everyMs, answer = (actual, row) => actual + 4 * Math.sin(row) } = traffic;
  const made = Array.from({ length: rows }, (_, i) => {
    const row = (i * 37) % X.rows;
    const predictedAt = new Date(from.getTime() + i * everyMs);
    return {
      predictionId: predictionIdAt(predictedAt, i),
      predictedAt,
      prediction: answer(y[row]!, i),
      actual: y[row]!,
      row,
    };
  });
  const columns = housing.columns.map(({ name, type }, column) => ({
    name,
    type,
    values: made.map(({ row }) => X.data[row * X.columns + column]!),
  }));
  await pool.query(
    `insert into predictions (id, created_at, prediction, pipeline_version, ${columns.map(({ name }) => name).join(', ')})
     select id, at, answer, $4, ${columns.map(({ name }) => name).join(', ')}
     from unnest($1::uuid[], $2::timestamptz[], $3::float8[], ${columns.map(({ type }, i) => `$${i + 5}::${type}[]`).join(', ')})
       as made (id, at, answer, ${columns.map(({ name }) => name).join(', ')})`,
    [
      made.map(({ predictionId }) => predictionId),
      made.map(({ predictedAt }) => predictedAt),
      made.map(({ prediction }) => prediction),
      version,
      ...columns.map(({ values }) => values),
    ],
  );
  return made;
}

/** Tells the truth of predictions, each so long after it. */
export async function tellTruth(pool: Pool, made: readonly MadePrediction[], delayMs: number): Promise<void> {
  for (const { predictionId, predictedAt, actual } of made) {
    const at = new Date(predictedAt.getTime() + delayMs);
    await recordLabels(pool, [{ predictionId, actual, observedAt: at }], at);
  }
}
