/** The answers of the health routes. */
import * as z from 'zod';
import type { Health } from '../../health.ts';

/** What everybody may see. */
const health = z.object({
  status: z.enum(['ok', 'degraded', 'unavailable']).meta({
    description:
      'degraded: predictions are answered, but the database is away, the prediction log is behind, the newest version ' +
      'was refused or a worker is silent; unavailable: no pipeline is loaded, or predictions cannot be stored',
  }),
  database: z.enum(['ok', 'unavailable']).meta({ description: 'Whether it can be reached and written' }),
  model: z.enum(['ok', 'unavailable']).meta({ description: 'Whether every process has a pipeline' }),
  prediction_log: z.enum(['ok', 'behind', 'refusing', 'off']).meta({
    description:
      'behind: records wait longer than 60 s to be moved to Postgres, or that has failed twice in a row; refusing: ' +
      'predictions get a 503, as neither the spool nor Postgres takes them; off: none is stored',
  }),
  model_version: z.string().optional().meta({ description: 'The served pipeline version; absent in production' }),
});

/** What operators see as well; not on the port for callers in production. */
const wholeHealth = health.extend({
  refused_version: z
    .object({ model_version: z.string(), reason: z.string() })
    .nullable()
    .meta({ description: 'The newest promotion, when it cannot be served' }),
  reasons: z.array(z.string()).meta({ description: 'Why it is not ok, and what to do; empty when it is' }),
  backlog: z
    .object({
      rows: z.int().nullable().meta({ description: 'Answered predictions that are not in Postgres yet' }),
      oldest_age_seconds: z.number().nullable().meta({ description: 'Since the oldest of them was answered' }),
      bytes: z.int().nullable().meta({ description: 'All spools under DATA_DIR' }),
      limit_bytes: z.int().nullable().meta({ description: 'SPOOL_MAX_BYTES' }),
      dead_letters: z
        .int()
        .nullable()
        .meta({ description: 'Records set aside in dead-letter.jsonl since the processes started' }),
      last_error: z.string().nullable().meta({ description: 'What keeps records from being moved or spooled now' }),
    })
    .meta({ description: 'What the spool holds; null where no process can tell' }),
  alarms: z
    .array(z.object({ subject: z.string(), state: z.enum(['pending', 'firing']), since: z.iso.datetime() }))
    .meta({ description: 'Pending and firing ones' }),
});

/** Which answer a port gives. */
export const healthSchema = { short: health, whole: wholeHealth };

export type HealthAnswer = z.infer<typeof health> | z.infer<typeof wholeHealth>;

export interface HealthForm {
  form: keyof typeof healthSchema;
  exposeModelVersion: boolean;
}

export function toHealthAnswer(health: Health, { form, exposeModelVersion }: HealthForm): HealthAnswer {
  const { status, database, model, predictionLog, servedVersion, refusedVersion, reasons, backlog, alarms } = health;
  const short = {
    status,
    database,
    model,
    prediction_log: predictionLog,
    model_version: (exposeModelVersion && servedVersion) || undefined,
  };
  if (form === 'short') return short;
  return {
    ...short,
    refused_version: refusedVersion && { model_version: refusedVersion.version, reason: refusedVersion.reason },
    reasons,
    backlog: {
      rows: backlog.rows,
      oldest_age_seconds: backlog.oldestAgeSeconds,
      bytes: backlog.bytes,
      limit_bytes: backlog.limitBytes,
      dead_letters: backlog.deadLetters,
      last_error: backlog.lastError,
    },
    alarms,
  };
}

export const probe = z.object({ status: z.literal('ok') });
