/** Pipeline versions for the tests: published through SQL as another machine would, with the answers they must give. */
import { Client } from 'pg';
import { agrees, sizeOf } from '../../src/agreement.ts';
import { featuresOfKind } from '../../src/contract/contract.ts';
import { fitPipeline, predictPipeline } from '../../src/estimators/pipeline.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { insertPipeline, type NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { promote } from '../../src/registry/promotions.ts';
import { trainPipeline } from '../../src/training/train.ts';
import type { Answer } from './load.ts';

export const dataset = loadHousingDataset();
export const roles = {
  numerical: featuresOfKind(housing, 'numerical'),
  categorical: featuresOfKind(housing, 'categorical'),
};
const size = sizeOf(dataset.y);

export const train = (alpha: number): NewPipeline => trainPipeline(dataset, { contract: housing, alpha, seed: 0 });

/** What the fit itself answers for every row of the data set. */
export function answersOf(alpha: number): Float64Array {
  return predictPipeline(fitPipeline(dataset, { alpha, ...roles }), dataset.X);
}

/** How many answers are not those of the version that they name. */
export function wrongAnswers(answers: readonly Answer[], expected: ReadonlyMap<string, Float64Array>): number {
  return answers.filter(({ version, row, prediction }) => {
    const right = expected.get(version)?.[row] ?? Number.NaN;
    // NaN, also of a version that nobody published, is wrong.
    return !agrees(prediction, right, size);
  }).length;
}

/** A session of an operator: publishes and promotes, without the checks of `npm run train`. */
export async function openRegistry(url: string) {
  const client = new Client({ connectionString: url });
  await client.connect();
  return {
    insert: async (pipeline: NewPipeline): Promise<string> => {
      await client.query('begin');
      const version = await insertPipeline(client, pipeline, { now: new Date() });
      await client.query('commit');
      return version;
    },
    promote: (version: string) =>
      promote(client, version, { now: new Date(), promotedBy: 'test', reason: 'fault suite' }),
    /** As if the notice of the promotion had been lost. */
    promoteSilently: (version: string) =>
      client.query('insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, $2, $3)', [
        version,
        'test',
        'without notice',
      ]),
    async rejectionOf(version: string): Promise<{ at: Date | null; reason: string | null }> {
      const { rows } = await client.query(
        'select rejected_at as at, rejected_reason as reason from ml_pipeline where pipeline_version = $1',
        [version],
      );
      return rows[0];
    },
    close: () => client.end(),
  };
}
