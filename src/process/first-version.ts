/** The pipeline that a database without any is given, so that `npm start` predicts at once. */
import { type Pool, transaction } from '../database/pool.ts';
import { loadHousingDataset } from '../housing/dataset.ts';
import { housing } from '../housing/features.ts';
import { publish } from '../publishing/publish.ts';
import { BY_START } from '../registry/promotions.ts';
import { trainPipeline } from '../training/train.ts';

export const DEFAULT_ALPHA = 1;
export const DEFAULT_SEED = 0;

export async function publishFirstVersion(
  pool: Pool,
  { modelsDir, now }: { modelsDir: string; now: Date },
): Promise<void> {
  const pipeline = trainPipeline(loadHousingDataset(), {
    contract: housing,
    alpha: DEFAULT_ALPHA,
    seed: DEFAULT_SEED,
  });
  await publish(pipeline, {
    transaction: (work) => transaction(pool, work),
    modelsDir,
    promotedBy: BY_START,
    reason: 'first version',
    now,
    shipped: housing,
  });
}
