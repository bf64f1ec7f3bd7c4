/**
 * The environment, read once, validated and frozen. A `.env` file beside package.json adds what the environment does not
 * set. A misspelt name there stops the start, as it would be ignored in silence. No other file reads `process.env`.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { validate as isCronExpression } from 'node-cron';
import * as z from 'zod';
import { problemOfDatabaseUrl, unreadParameters } from './database-url.ts';
import { type EnvFile, readEnvFile } from './env-file.ts';
import { projectRoot } from './project-root.ts';
import { judgeNames } from './setting-names.ts';

const flag = z.enum(['true', 'false', '1', '0']).transform((value) => value === 'true' || value === '1');
const wholeNumber = (low: number, high: number) =>
  z
    .string()
    .regex(/^\d+$/)
    .transform(Number)
    .refine((value) => value >= low && value <= high);

/** For each setting: how its text is read, and the valid values that an error names. */
const settings = {
  DATABASE_URL: [z.string().optional(), 'text'],
  HOST: [z.string().min(1).default('127.0.0.1'), 'the address to listen on, such as 127.0.0.1 or 0.0.0.0'],
  PORT: [wholeNumber(0, 65535).default(3000), 'a whole number from 0 (any free port) to 65535'],
  ADMIN_HOST: [z.string().min(1).default('127.0.0.1'), 'the address for operators, such as 127.0.0.1 or 0.0.0.0'],
  ADMIN_PORT: [wholeNumber(0, 65535).optional(), 'a whole number from 0 (any free port) to 65535, or unset for none'],
  GROUND_TRUTH: [z.enum(['public', 'admin', 'off']).optional(), 'public, admin or off'],
  NODE_ENV: [z.enum(['development', 'test', 'production']).default('development'), 'development, test or production'],
  DOCS_ENABLED: [flag.optional(), 'true or false'],
  DOCS_PATH: [
    z
      .string()
      .regex(
        /^\/(?!(predict|ground-truth|health|livez|readyz|metrics|predictions|pipelines|monitoring)(\/|$))[\w/-]*\w$/,
      )
      .default('/docs'),
    'a path such as /docs that is not of another route',
  ],
  EXPOSE_MODEL_VERSION: [flag.optional(), 'true or false'],
  LOG_LEVEL: [
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    'trace, debug, info, warn, error, fatal or silent',
  ],
  DATA_DIR: [z.string().min(1).default('.data'), 'a directory for the spool and the embedded database'],
  MODELS_DIR: [z.string().min(1).default('models'), 'a directory for exported artefacts'],
  WORKERS: [wholeNumber(1, 128).default(1), 'a whole number from 1 to 128'],
  MAX_BATCH_ROWS: [wholeNumber(1, 100_000).default(1000), 'a whole number from 1 to 100000'],
  BODY_LIMIT_BYTES: [
    wholeNumber(1024, 1_073_741_824).optional(),
    'bytes from 1024 to 1073741824, or unset to fit MAX_BATCH_ROWS',
  ],
  MODEL_POLL_SECONDS: [wholeNumber(1, 3600).default(5), 'seconds from 1 to 3600'],
  PREDICTION_LOG: [z.enum(['spool', 'sync', 'off']).default('spool'), 'spool, sync or off'],
  PREDICTION_LOG_FSYNC: [z.enum(['on', 'off']).default('off'), 'on or off'],
  SPOOL_MAX_BYTES: [wholeNumber(65_536, 2 ** 50).default(1_073_741_824), 'bytes, at least 65536'],
  PREDICTIONS_KEEP_MONTHS: [
    wholeNumber(1, 1200).optional(),
    'a whole number of months from 1 to 1200, or unset to keep all',
  ],
  RETRAIN_CRON: [
    z
      .string()
      .transform((fields) => fields.replace(/\s+/g, ' '))
      .refine((fields) => fields.split(' ').length === 5)
      .refine(isCronExpression)
      .optional(),
    'five cron fields in UTC, such as "0 3 * * *"',
  ],
  RETRAIN_DATA: [z.enum(['labelled', 'shipped']).default('labelled'), 'labelled or shipped'],
  RETRAIN_PROMOTE: [z.enum(['gate', 'always', 'never']).default('gate'), 'gate, always or never'],
  SHUTDOWN_GRACE_SECONDS: [wholeNumber(1, 600).default(25), 'seconds from 1 to 600'],
  DRAIN_SECONDS: [wholeNumber(0, 599).optional(), 'seconds from 0 to 599, less than SHUTDOWN_GRACE_SECONDS'],
} as const satisfies Record<string, readonly [z.ZodType, string]>;

export const settingNames = Object.keys(settings) as (keyof typeof settings)[];

/** Room for a row of 13 features with 17 significant digits each and their names, with white space to spare. */
const BYTES_PER_ROW = 1024;
/** The default, when the grace allows it: what senders of requests need to learn that an instance ends. */
const LONGEST_DRAIN_SECONDS = 5;

export class ConfigError extends Error {}

export interface Config {
  /** The service's own version, from package.json. */
  version: string;
  databaseUrl: string | undefined;
  host: string;
  port: number;
  adminHost: string;
  /** Of the listener for operators, if there is one. */
  adminPort: number | undefined;
  /** Among which routes those for labels are: of callers, of operators, or of nobody. */
  groundTruth: 'public' | 'admin' | 'off';
  production: boolean;
  /** Where the docs are on the public port, if they are there. */
  docsPath: string | undefined;
  /** Where they are on the admin port. */
  adminDocsPath: string | undefined;
  exposeModelVersion: boolean;
  logLevel: string;
  dataDir: string;
  modelsDir: string;
  workers: number;
  maxBatchRows: number;
  bodyLimitBytes: number;
  modelPollSeconds: number;
  predictionLog: 'spool' | 'sync' | 'off';
  predictionLogFsync: boolean;
  spoolMaxBytes: number;
  /** Whole months before this one; undefined keeps all. */
  predictionsKeepMonths: number | undefined;
  retrainCron: string | undefined;
  /** What scheduled trainings learn from, and what decides whether they take over. */
  retrainData: 'labelled' | 'shipped';
  retrainPromote: 'gate' | 'always' | 'never';
  shutdownGraceSeconds: number;
  /** How long new connections are still taken after SIGTERM; less than the grace. */
  drainSeconds: number;
  /** What whoever starts a command should know; none of it stops the start. */
  warnings: readonly string[];
}

/**
 * Reads the settings. Throws one ConfigError that names every bad variable with its valid values. Relative directories
 * are taken from the project's root, so that every command finds the same ones wherever it is started.
 */
export function loadConfig(
  environment: NodeJS.ProcessEnv = process.env,
  envFile = environment === process.env ? join(projectRoot, '.env') : undefined,
): Readonly<Config> {
  const file: EnvFile = envFile === undefined ? { values: {}, problems: [], repeated: [] } : readEnvFile(envFile);
  const { misspelt, warnings } = judgeNames(settingNames, environment, file);
  const problems = [...file.problems, ...misspelt].map((problem) => `  ${problem}`);
  // Into the environment itself: there `pg` looks for PGPASSWORD and its like.
  for (const [name, value] of Object.entries(file.values)) environment[name] ??= value;
  const read = <Name extends keyof typeof settings>(name: Name): z.output<(typeof settings)[Name][0]> => {
    const [schema, valid] = settings[name];
    // An empty variable is what `NAME=` in an .env file or a compose file means by "not set"; a file that became a
    // variable has a line end behind it.
    const result = schema.safeParse(environment[name]?.trim() || undefined);
    if (!result.success) problems.push(`  ${name}: expected ${valid}`);
    return result.data as z.output<(typeof settings)[Name][0]>;
  };
  const databaseUrl = read('DATABASE_URL');
  const urlProblem = databaseUrl && problemOfDatabaseUrl(databaseUrl);
  if (urlProblem) problems.push(`  DATABASE_URL: expected ${urlProblem}`);
  const unread = databaseUrl && !urlProblem ? unreadParameters(databaseUrl) : [];
  if (unread.length > 0) warnings.push(`DATABASE_URL has parameters that change nothing here: ${unread.join(', ')}`);
  const production = read('NODE_ENV') === 'production';
  const maxBatchRows = read('MAX_BATCH_ROWS');
  const shutdownGraceSeconds = read('SHUTDOWN_GRACE_SECONDS');
  const drainSeconds = read('DRAIN_SECONDS') ?? Math.min(LONGEST_DRAIN_SECONDS, shutdownGraceSeconds / 5);
  const adminPort = read('ADMIN_PORT');
  const ofOperators = adminPort === undefined ? 'off' : 'admin';
  const docsEnabled = read('DOCS_ENABLED');
  const docsPath = read('DOCS_PATH');
  const config: Config = {
    version: (JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string }).version,
    databaseUrl,
    host: read('HOST'),
    port: read('PORT'),
    adminHost: read('ADMIN_HOST'),
    adminPort,
    groundTruth: read('GROUND_TRUTH') ?? (production ? ofOperators : 'public'),
    production,
    docsPath: (docsEnabled ?? !production) ? docsPath : undefined,
    adminDocsPath: (docsEnabled ?? true) ? docsPath : undefined,
    exposeModelVersion: read('EXPOSE_MODEL_VERSION') ?? !production,
    logLevel: read('LOG_LEVEL'),
    dataDir: resolve(projectRoot, read('DATA_DIR') ?? ''),
    modelsDir: resolve(projectRoot, read('MODELS_DIR') ?? ''),
    workers: read('WORKERS'),
    maxBatchRows,
    bodyLimitBytes: read('BODY_LIMIT_BYTES') ?? Math.max(65_536, maxBatchRows * BYTES_PER_ROW),
    modelPollSeconds: read('MODEL_POLL_SECONDS'),
    predictionLog: read('PREDICTION_LOG'),
    predictionLogFsync: read('PREDICTION_LOG_FSYNC') === 'on',
    spoolMaxBytes: read('SPOOL_MAX_BYTES'),
    predictionsKeepMonths: read('PREDICTIONS_KEEP_MONTHS'),
    retrainCron: read('RETRAIN_CRON'),
    retrainData: read('RETRAIN_DATA'),
    retrainPromote: read('RETRAIN_PROMOTE'),
    shutdownGraceSeconds,
    drainSeconds,
    warnings,
  };
  problems.push(...contradictionsOf(config));
  if (problems.length > 0) {
    throw new ConfigError(`Wrong settings (see .env.example):\n${problems.join('\n')}`);
  }
  return Object.freeze(config);
}

/** What settings that are right by themselves may not be together. */
function contradictionsOf(config: Config): string[] {
  const { port, adminPort, groundTruth, production, drainSeconds, shutdownGraceSeconds } = config;
  const problems = [];
  // Two free ports are two ports.
  if (adminPort !== undefined && adminPort === port && port !== 0) {
    problems.push(`  ADMIN_PORT: expected another port than PORT, which is ${port}`);
  }
  if (groundTruth === 'admin' && production && adminPort === undefined) {
    problems.push('  GROUND_TRUTH: expected ADMIN_PORT to be set as well, or public or off');
  }
  if (drainSeconds >= shutdownGraceSeconds) {
    problems.push(`  DRAIN_SECONDS: expected less than SHUTDOWN_GRACE_SECONDS, which is ${shutdownGraceSeconds}`);
  }
  return problems;
}

/**
 * Those of the given options that npm has kept for itself, with their values: without a `--` npm takes what follows the
 * command for settings of its own, and leaves them in the environment.
 */
export function optionsTakenByNpm(
  command: string,
  options: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  if (environment.npm_lifecycle_event !== command) return {};
  const taken = options.flatMap((option) => {
    const value = environment[`npm_config_${option.replaceAll('-', '_')}`];
    return value === undefined ? [] : [[option, value]];
  });
  return Object.fromEntries(taken) as Record<string, string>;
}
