/** Predictions of the demo's world with their truths, stored as the relay and the labels would be, without a server. */
import { createWorld, type World } from '../../scripts/demo-world.ts';
import type { Pool } from '../../src/database/pool.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { predictionIdAt } from './housing-traffic.ts';

/** When rooms have become dear for good. */
export const DEAR = new Date('2031-03-01T00:00:00Z');

/** `isDear` false is the world as it was when the data set was made. */
export function worldOf(seed: number, isDear = true): World {
  const changesFrom = new Date('2031-01-01T00:00:00Z');
  return createWorld({ seed, contract: housing, dataset: loadHousingDataset(), ...(isDear && { changesFrom }) });
}

export interface StoredHouse {
  predictionId: string;
  predictedAt: Date;
  row: Record<string, number>;
  actual: number;
}

export interface StoredHouses {
  world: World;
  version: string;
  from: Date;
  rows: number;
  everyMs?: number;
  /** What is told of a price. */
  truth?: (price: number, i: number) => number;
  /** What the version answers; nothing of it matters to a training. */
  prediction?: number;
}

/** Stores predictions and the truth of each, an hour later. */
export async function storeLabelled(pool: Pool, stored: StoredHouses): Promise<StoredHouse[]> {
  const { world, version, from, rows, everyMs = 60_000, truth = (price) => price, prediction = 20 } = stored;
  const made = Array.from({ length: rows }, (_, i): StoredHouse => {
    const predictedAt = new Date(from.getTime() + i * everyMs);
    const { row, price } = world.house(predictedAt);
    return { predictionId: predictionIdAt(predictedAt, i), predictedAt, row, actual: truth(price, i) };
  });
  const names = housing.columns.map(({ name }) => name).join(', ');
  await pool.query(
    `insert into predictions (id, created_at, prediction, pipeline_version, ${names})
     select id, at, $4, $3, ${names} from unnest($1::uuid[], $2::timestamptz[], ${housing.columns
       .map(({ type }, i) => `$${i + 5}::${type}[]`)
       .join(', ')}) as made (id, at, ${names})`,
    [
      ...[made.map(({ predictionId }) => predictionId), made.map(({ predictedAt }) => predictedAt)],
      ...[version, prediction],
      ...housing.names.map((name) => made.map(({ row }) => row[name])),
    ],
  );
  await pool.query(
    `insert into ground_truth (prediction_id, predicted_at, actual, observed_at, received_at, revision, prediction, pipeline_version)
     select id, at, actual, at + interval '1 hour', at + interval '1 hour', 1, $5, $4
     from unnest($1::uuid[], $2::timestamptz[], $3::float8[]) as made (id, at, actual)`,
    [
      ...[made.map(({ predictionId }) => predictionId), made.map(({ predictedAt }) => predictedAt)],
      ...[made.map(({ actual }) => actual), version, prediction],
    ],
  );
  return made;
}
