/** The bodies and queries of the prediction routes. */
import * as z from 'zod';
import type { Contract } from '../../contract/contract.ts';
import { rowSchema } from '../../contract/row-schema.ts';
import { exampleRow, type FeatureRow } from '../../contract/rows.ts';

const modelVersion = z
  .string()
  .optional()
  .meta({ description: 'The pipeline version that answered; absent in production', example: '2026_11_22__16_08_52' });
const predictionId = z.uuid().meta({
  description: 'A UUID version 7, the key of the stored prediction',
  examples: ['019a8f3c-5b1e-7c42-9d0a-3f6e2b8c4d11'],
});

export function predictionSchemas(contract: Contract, maxBatchRows: number) {
  const { output } = contract.declaration;
  const row = rowSchema(contract).meta({ description: 'One row', examples: [exampleRow(contract)] });
  const prediction = z.number().meta({
    description: descriptionOf(output),
    ...(output.example !== undefined && { examples: [output.example] }),
  });
  return {
    row,
    prediction: z
      .object({ prediction, prediction_id: predictionId, model_version: modelVersion })
      .meta({ description: 'The prediction for the row' }),
    instances: z
      .strictObject({ instances: z.array(row).min(1).max(maxBatchRows) })
      .meta({ description: 'Rows to predict', examples: [{ instances: [exampleRow(contract)] }] }),
    predictions: z
      .object({
        predictions: z.array(prediction),
        prediction_ids: z.array(predictionId),
        model_version: modelVersion,
      })
      .meta({ description: 'The predictions, in the order of the instances' }),
  };
}

function descriptionOf({ name, description, unit }: Contract['declaration']['output']): string {
  return `${name}${description ? `: ${description}` : ''}${unit ? ` (${unit})` : ''}`;
}

/** The query: there are no parameters yet. */
export const noParameters = z.strictObject({});

export interface BatchBody {
  instances: FeatureRow[];
}
