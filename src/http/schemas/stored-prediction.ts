/** What operators are told of one stored prediction. */
import * as z from 'zod';

const time = z.iso.datetime();

export const predictionParameters = z.object({
  id: z
    .string()
    .meta({ description: 'prediction_id of the answer', examples: ['019a8f3c-5b1e-7c42-9d0a-3f6e2b8c4d11'] }),
});

export const storedPrediction = z
  .object({
    prediction_id: z.string(),
    created_at: time.meta({ description: 'When it was answered' }),
    model_version: z.string().meta({ description: 'The pipeline version that answered' }),
    features: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).meta({
      description: 'What was sent, by the names that the version declares; null where nothing was',
    }),
    prediction: z.number(),
    actual: z
      .number()
      .nullable()
      .meta({ description: 'What was true; null without a label, and where it was withdrawn' }),
    observed_at: time.nullable().meta({ description: 'When that was observed; null without a label' }),
    revision: z.int().nullable().meta({ description: '1 for the first label, and 1 more for each other one' }),
  })
  .meta({
    description: 'The stored row and its label',
    examples: [
      {
        prediction_id: '019a8f3c-5b1e-7c42-9d0a-3f6e2b8c4d11',
        created_at: '2025-11-16T21:27:05.246Z',
        model_version: '2025_11_16__17_57_15',
        features: { RM: 6.575, CHAS: 0 },
        prediction: 28.41,
        actual: 24,
        observed_at: '2025-11-22T10:00:00.000Z',
        revision: 1,
      },
    ],
  });
