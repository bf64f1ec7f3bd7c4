/** The bodies and queries of the prediction routes. */
import * as z from 'zod';
import { exampleRow, type FeatureRow, type FeatureSchema, rowSchema } from '../../feature-schema.ts';

const modelVersion = z
  .string()
  .optional()
  .meta({ description: 'The pipeline version that answered; absent in production', example: '2026_11_22__16_08_52' });
const predictionId = z.uuid().meta({
  description: 'A UUID version 7, the key of the stored prediction',
  examples: ['019a8f3c-5b1e-7c42-9d0a-3f6e2b8c4d11'],
});

export function predictionSchemas(features: FeatureSchema, maxBatchRows: number) {
  const { target } = features;
  const row = rowSchema(features).meta({ description: 'One row', examples: [exampleRow(features)] });
  const prediction = z.number().meta({
    description: `${target.name}: ${target.description} (${target.unit})`,
    examples: [target.example],
  });
  return {
    row,
    prediction: z
      .object({ prediction, prediction_id: predictionId, model_version: modelVersion })
      .meta({ description: 'The prediction for the row' }),
    instances: z
      .strictObject({ instances: z.array(row).min(1).max(maxBatchRows) })
      .meta({ description: 'Rows to predict', examples: [{ instances: [exampleRow(features)] }] }),
    predictions: z
      .object({
        predictions: z.array(prediction),
        prediction_ids: z.array(predictionId),
        model_version: modelVersion,
      })
      .meta({ description: 'The predictions, in the order of the instances' }),
  };
}

/** The query: there are no parameters yet. */
export const noParameters = z.strictObject({});

export interface BatchBody {
  instances: FeatureRow[];
}
