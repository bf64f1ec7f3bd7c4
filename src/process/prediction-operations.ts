/** What operators are told of one prediction, put together from the tables of predictions, of versions and of labels. */
import { isTaken } from '../contract/column-names.ts';
import type { Contract } from '../contract/contract.ts';
import { RidgelineError } from '../errors.ts';
import { mayStillArrive, timeOfPredictionId } from '../ground-truth/label.ts';
import { readLabel } from '../ground-truth/read-label.ts';
import type { PredictionOperations } from '../http/routes/predictions.ts';
import { type FoundPrediction, findPrediction } from '../prediction-log/postgres/find-prediction.ts';
import { promotableVersion } from '../registry/pipeline-versions.ts';
import { contractOfStored } from '../registry/stored-declaration.ts';
import type { PipelineOperationsOptions } from './pipeline-operations.ts';
import { usable } from './usable-database.ts';

const MAY_WAIT = 'This one may still wait in a spool: ask again when `backlog` of /health is empty.';

export function createPredictionOperations(options: PipelineOperationsOptions): PredictionOperations {
  const { pool, clock, shipped } = options;

  /** Undefined where the version is gone, or has the declaration of a later release. */
  async function contractOf(pipelineVersion: string): Promise<Contract | undefined> {
    try {
      const version = await promotableVersion(pool, pipelineVersion);
      return version && contractOfStored(version.declaration, shipped);
    } catch (error) {
      if (error instanceof RidgelineError && error.code === 'bad_artefact') return undefined;
      throw error;
    }
  }

  return {
    show: (id) =>
      usable(async () => {
        const createdAt = timeOfPredictionId(id);
        if (!createdAt) throw new RidgelineError('unknown_prediction');
        const found = await findPrediction(pool, id, createdAt);
        if (!found) {
          const detail = mayStillArrive(createdAt, clock.now()) ? MAY_WAIT : '';
          throw new RidgelineError('unknown_prediction', { detail });
        }
        const label = await readLabel(pool, id, createdAt);
        return {
          prediction_id: id.toLowerCase(),
          created_at: createdAt.toISOString(),
          model_version: found.pipelineVersion,
          features: featuresOf(found, await contractOf(found.pipelineVersion)),
          prediction: found.prediction,
          actual: label?.actual ?? null,
          observed_at: label?.observedAt.toISOString() ?? null,
          revision: label?.revision ?? null,
        };
      }),
  };
}

type Features = Awaited<ReturnType<PredictionOperations['show']>>['features'];

/** By the declared names; where they are not known, by those of the columns that hold something. */
function featuresOf({ columns }: FoundPrediction, contract: Contract | undefined): Features {
  const named = contract
    ? contract.features.map(({ name, column }) => [name, columns[column] ?? null])
    : Object.entries(columns).filter(([column, value]) => value !== null && !isTaken(column));
  return Object.fromEntries(named) as Features;
}
