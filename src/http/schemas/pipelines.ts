/** The bodies, queries and answers of the routes of pipeline versions. */
import * as z from 'zod';
import { isUnstorable } from '../../contract/values.ts';
import { isVersionName } from '../../version-name.ts';

/** Versions of a page, where nothing else is asked for and at most. */
export const USUAL_PAGE = 50;
export const LONGEST_PAGE = 200;

const VERSION = '2026_11_22__17_57_15';
const version = z.string().meta({ description: 'A pipeline version', examples: [VERSION] });
const time = z.iso.datetime().meta({ examples: ['2026-11-22T17:57:15.204Z'] });
const count = z.int().nullable();

export const versionParameters = z.object({ version });

export const listQuery = z.strictObject({
  limit: z
    .string()
    .refine((text) => /^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= LONGEST_PAGE, {
      error: `Send a whole number from 1 to ${LONGEST_PAGE}.`,
    })
    .meta({ type: 'integer', minimum: 1, maximum: LONGEST_PAGE, default: USUAL_PAGE, description: 'How many at most' })
    .optional(),
  before: z
    .string()
    .refine(isVersionName, { error: `Send a version such as ${VERSION}.` })
    .meta({ description: 'Only older ones than this version: `next` of the page before', examples: [VERSION] })
    .optional(),
});

const reason = z
  .string()
  .trim()
  .min(1)
  .max(1000)
  .refine((text) => !isUnstorable(text), { error: 'Send text without NUL and without half of a surrogate pair.' })
  .meta({ description: 'Kept in the history of promotions', examples: ['too high since Monday'] });

export const promotionBody = z.strictObject({
  reason,
  breaking: z.boolean().optional().meta({ description: 'Also what refuses requests of today’s callers' }),
});
export const resumeBody = z.strictObject({ reason });

const promotionExample = {
  promotion_id: 7,
  version: VERSION,
  previous: '2026_11_23__03_00_00',
  action: 'rollback' as const,
  promoted_at: '2026-11-23T08:15:00.113Z',
  promoted_by: 'http',
  reason: 'too high since Monday',
};

export const promotion = z
  .object({
    promotion_id: z.int().meta({ description: 'Grows with every promotion' }),
    version,
    previous: version.nullable().meta({ description: 'What was promoted before' }),
    action: z.enum(['train', 'schedule', 'publish', 'hand', 'rollback', 'resume']).meta({
      description: 'Scheduled trainings hold while the newest one is hand or rollback',
    }),
    promoted_at: time,
    promoted_by: z.string(),
    reason: z.string(),
  })
  .meta({ description: 'An entry of the history of promotions', examples: [promotionExample] });

const summary = z.object({
  version,
  role: z.enum(['champion', 'challenger', 'retired', 'rejected']).meta({
    description:
      'champion: served. challenger: of those that were never promoted nor found worse, the two newest, for 30 days. ' +
      'rejected: a server refused its artefact. retired: any other',
  }),
  created_at: time,
  promoted_at: time.nullable().meta({ description: 'The last time' }),
  metrics: z.record(z.string(), z.number().nullable()).meta({
    description: 'cv_ is out of fold, train_ on the rows of the fit; in the unit of the target',
  }),
  training_rows: z.object({ shipped: count, labelled: count, duplicates: count }).meta({
    description: 'shipped: of the data set that ships, or of a file',
  }),
  rejected_reason: z.string().nullable(),
});

const summaryExample = {
  version: VERSION,
  role: 'champion' as const,
  created_at: '2026-11-22T17:57:15.204Z',
  promoted_at: '2026-11-22T17:57:15.204Z',
  metrics: { cv_rmse: 4.83, cv_mae: 3.35, cv_r2: 0.72 },
  training_rows: { shipped: 506, labelled: 0, duplicates: 0 },
  rejected_reason: null,
};

export const versionPage = z
  .object({
    pipelines: z.array(summary).meta({ description: 'The newest first' }),
    next: version.nullable().meta({ description: 'What to send as `before` for older ones; null on the last page' }),
  })
  .meta({ description: 'Pipeline versions', examples: [{ pipelines: [summaryExample], next: null }] });

const measure = z.number().nullable();

const gate = z
  .object({
    gate_id: z.int().meta({ description: 'Grows with every test' }),
    pipeline_version: version,
    champion_version: version.nullable().meta({ description: 'What was served' }),
    look: z.int().nullable().meta({ description: 'Which test of the version; null where there were too few rows' }),
    decided_at: time,
    n: z.int().meta({ description: 'Labelled predictions that both were run on, and neither had learned from' }),
    holdout_from: time.nullable(),
    holdout_to: time.nullable(),
    champion_rmse: measure,
    challenger_rmse: measure,
    mean_difference: measure.meta({ description: 'Of squared errors: above 0 the challenger is nearer' }),
    t: measure,
    p_better: measure,
    p_worse: measure,
    alpha: measure.meta({ description: 'Up to which p_better is proof at this look' }),
    decision: z.enum(['promoted', 'held', 'rejected']),
    reason: z.string(),
    decided_by: z.string(),
    judged_sha256: z.string().meta({ description: 'Of the artefact that was judged' }),
  })
  .meta({ description: 'A paired t-test against what was served' });

export const versionDetails = summary
  .extend({
    declaration: z.looseObject({}).meta({ description: 'What its rows hold, as a features file' }),
    hyperparameters: z.record(z.string(), z.unknown()),
    sha256: z.string().meta({ description: 'Of the artefact' }),
    trained_through: time
      .nullable()
      .meta({ description: 'When the newest labelled row that it learned from was answered' }),
    data_file: z
      .object({ name: z.string(), sha256: z.string(), rows: z.int(), columns: z.int() })
      .nullable()
      .meta({ description: 'The file that its rows came from; null for the data set that ships' }),
    gates: z.array(gate).meta({ description: 'Its tests against what was served, the newest 50' }),
    promotions: z.array(promotion).meta({ description: 'The newest 50, the newest first' }),
  })
  .meta({
    description: 'A pipeline version',
    examples: [
      {
        ...summaryExample,
        declaration: { name: 'boston_housing' },
        hyperparameters: { alpha: 1, seed: 0, folds: 10 },
        sha256: 'e3db4ffbff984588c450c2ffc1b95f6d47fd46318166570ad097c6dc6522eb5e',
        trained_through: null,
        data_file: null,
        gates: [],
        promotions: [promotionExample],
      },
    ],
  });
