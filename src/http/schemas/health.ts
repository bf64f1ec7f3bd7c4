/** The answers of the health routes. */
import * as z from 'zod';

const availability = z.enum(['ok', 'unavailable']);

export const health = z.object({
  status: z.enum(['ok', 'degraded', 'unavailable']).meta({
    description: 'degraded: predictions are answered, but the database is away or the newest version was refused',
  }),
  database: availability,
  model: availability,
  model_version: z.string().optional().meta({ description: 'The served pipeline version; absent in production' }),
  refused_version: z
    .object({ model_version: z.string(), reason: z.string() })
    .optional()
    .meta({ description: 'The newest promotion, when it cannot be served; absent in production' }),
  prediction_log: z
    .object({
      backlog_rows: z.int().meta({ description: 'Answered predictions that are not in Postgres yet' }),
      oldest_age_seconds: z.number().meta({ description: 'Since the oldest of them was answered; 0 without any' }),
      dead_letters: z.int().meta({ description: 'Records set aside since the start, in dead-letter.jsonl' }),
    })
    .optional()
    .meta({ description: 'What the spool holds; absent in production' }),
});

export type Health = z.infer<typeof health>;

export const probe = z.object({ status: z.enum(['ok', 'unavailable']) });
