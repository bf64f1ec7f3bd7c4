/** The bodies and queries of the prediction routes. */
import * as z from 'zod';
import type { Contract } from '../../contract/contract.ts';
import { rowSchema } from '../../contract/row-schema.ts';
import { exampleRow, type FeatureRow } from '../../contract/rows.ts';
import { levelOf } from '../../serving/extras.ts';

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
  const contributions = contributionsSchema(contract);
  return {
    row,
    prediction: z
      .object({
        ...{ prediction, prediction_id: predictionId, model_version: modelVersion },
        ...{ interval: interval.optional(), contributions: contributions.optional() },
      })
      .meta({ description: 'The prediction for the row' }),
    instances: z
      .strictObject({ instances: z.array(row).min(1).max(maxBatchRows) })
      .meta({ description: 'Rows to predict', examples: [{ instances: [exampleRow(contract)] }] }),
    predictions: z
      .object({
        predictions: z.array(prediction),
        prediction_ids: z.array(predictionId),
        model_version: modelVersion,
        intervals: z.array(interval).optional(),
        contributions: z.array(contributions).optional(),
      })
      .meta({ description: 'The predictions, in the order of the instances' }),
  };
}

const interval = z
  .object({ level: z.number(), lower: z.number(), upper: z.number() })
  .meta({ description: 'With ?interval=', examples: [{ level: 0.9, lower: 21.163, upper: 35.652 }] });

function contributionsSchema({ names }: Contract) {
  const each = Object.fromEntries(['base_value', ...names].map((name) => [name, z.number()]));
  return z.object(each).meta({
    description: 'With ?contributions=true: base_value and what each feature adds to it make the prediction',
  });
}

function descriptionOf({ name, description, unit }: Contract['declaration']['output']): string {
  return `${name}${description ? `: ${description}` : ''}${unit ? ` (${unit})` : ''}`;
}

/** The query of both routes. */
export const predictQuery = z.strictObject({
  interval: z
    .string()
    .refine((text) => levelOf(text) !== undefined, {
      error: 'Send a level from 0.5 to 0.99 in steps of 0.01, such as 0.9.',
    })
    .meta({
      ...{ type: 'number', minimum: 0.5, maximum: 0.99, multipleOf: 0.01 },
      description: 'Also an interval in which the truth lies with this probability, on average over all rows',
      examples: [0.9],
    })
    .optional(),
  contributions: z
    .enum(['true', 'false'])
    .meta({ description: 'Also what each feature adds to the prediction', examples: ['true'] })
    .optional(),
});

export interface BatchBody {
  instances: FeatureRow[];
}
