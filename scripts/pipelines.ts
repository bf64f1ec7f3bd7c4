/** npm run pipelines: shows the versions, and changes which of them is served. Running servers follow by themselves. */
import { systemClock } from '../src/clock.ts';
import { type Config, ConfigError } from '../src/config.ts';
import { type Pool, transaction } from '../src/database/pool.ts';
import { RidgelineError, reasonOf } from '../src/errors.ts';
import { housing } from '../src/housing/features.ts';
import { LONGEST_PAGE, USUAL_PAGE } from '../src/http/schemas/pipelines.ts';
import { compareVersions } from '../src/monitoring/compare-versions.ts';
import { readDivergence } from '../src/monitoring/divergence.ts';
import { promoteVersion, resume, rollBack } from '../src/publishing/promote.ts';
import { writeArtefact } from '../src/registry/artefacts.ts';
import { readPipeline } from '../src/registry/pipeline-versions.ts';
import { describeHold, holdOnSchedules, type PromotionEntry } from '../src/registry/promotions.ts';
import { findVersion, listVersions, targetsOf } from '../src/registry/version-catalogue.ts';
import { isVersionName } from '../src/version-name.ts';
import { failUsage, readCommandLine } from './command-line.ts';
import { withPool } from './database.ts';
import { comparisonText, detailsText, divergenceText, listText, promotionText } from './pipelines-text.ts';
import { loadSettings } from './settings.ts';

const usage = `Usage: npm run pipelines -- WORD [options]

  list                           the versions, the newest first
  show VERSION                   all that is known of one
  compare A B                    two side by side, also on the newest stored rows
  promote VERSION --reason TEXT  make it the served one
  rollback --reason TEXT         go back to the version that served well before
  resume --reason TEXT           let scheduled trainings go on: they hold after a
                                 promotion by hand and after a roll back

  --limit NUMBER    list: at most so many, up to ${LONGEST_PAGE} (default ${USUAL_PAGE})
  --before VERSION  list: older ones than this
  --reason TEXT     kept in the history of promotions
  --breaking        promote, rollback: also what refuses requests of today's
                    callers, such as other features
  --json            print one JSON object as the last line
  --help`;

const command = {
  name: 'pipelines',
  usage,
  options: {
    limit: { type: 'string' },
    before: { type: 'string' },
    reason: { type: 'string' },
    breaking: { type: 'boolean' },
    json: { type: 'boolean', default: false },
  },
  takesWords: true,
} as const;

const { values, words } = readCommandLine(command);
const [word = '', ...names] = words;

interface Context {
  pool: Pool;
  config: Config;
}
/** What is printed: as JSON, and for people. */
interface Result {
  answer: object;
  text: string;
}
interface Action {
  /** What its arguments are called in the usage. */
  names: readonly string[];
  options: readonly (keyof typeof values)[];
  run: (context: Context) => Promise<Result>;
}

const actions: Record<string, Action> = {
  list: { names: [], options: ['limit', 'before'], run: list },
  show: { names: ['VERSION'], options: [], run: show },
  compare: { names: ['A', 'B'], options: [], run: compare },
  promote: { names: ['VERSION'], options: ['reason', 'breaking'], run: (context) => change(context, promoteNamed) },
  rollback: { names: [], options: ['reason', 'breaking'], run: (context) => change(context, rollBack) },
  resume: { names: [], options: ['reason'], run: (context) => change(context, resume) },
};

async function list({ pool }: Context): Promise<Result> {
  const answer = await listVersions(pool, { limit: readLimit(), before: values.before, now: systemClock.now() });
  const hold = await holdOnSchedules(pool);
  const targets = await targetsOf(pool, answer, housing.declaration.output.name);
  return { answer, text: listText(answer, { targets, hold: hold && describeHold(hold) }) };
}

async function show({ pool }: Context): Promise<Result> {
  const found = await findVersion(pool, names[0]!, { shipped: housing.declaration, now: systemClock.now() });
  if (!found) throw new RidgelineError('unknown_version');
  return { answer: found, text: detailsText(found, await readDivergence(pool, found.version)) };
}

async function compare({ pool }: Context): Promise<Result> {
  const [a, b] = names as [string, string];
  const { comparison, notes } = await compareVersions(pool, [a, b], { shipped: housing, now: systemClock.now() });
  const measured = [await readDivergence(pool, a), await readDivergence(pool, b)];
  const between = measured.find((one) => one && [a, b].includes(one.champion));
  return {
    answer: comparison,
    text: comparisonText(comparison, between ? [...notes, divergenceText(between)] : notes),
  };
}

type Change = typeof rollBack;

const promoteNamed: Change = (options) => promoteVersion(names[0]!, options);

async function change({ pool, config }: Context, make: Change): Promise<Result> {
  const entry = await make({
    transaction: (work) => transaction(pool, work),
    shipped: housing,
    now: systemClock.now(),
    promotedBy: 'pipelines',
    reason: values.reason!,
    breaking: values.breaking,
  });
  await writeFile(entry, { pool, config });
  return { answer: entry, text: promotionText(entry) };
}

/** A server that starts without the database finds the version then. */
async function writeFile({ version }: PromotionEntry, { pool, config }: Context): Promise<void> {
  try {
    await writeArtefact(config.modelsDir, (await readPipeline(pool, version))!);
  } catch (error) {
    console.error(`Promoted, but not written to ${config.modelsDir}: ${reasonOf(error)}. Servers write it themselves.`);
  }
}

function readLimit(): number {
  const limit = values.limit === undefined ? USUAL_PAGE : Number(values.limit);
  if (Number.isInteger(limit) && limit >= 1 && limit <= LONGEST_PAGE) return limit;
  return failUsage(command, `--limit ${values.limit}: expected a whole number from 1 to ${LONGEST_PAGE}`);
}

/** Ends the command, before it has done anything, where it cannot be followed. */
function readAction(): Action {
  const action = Object.hasOwn(actions, word) ? actions[word]! : undefined;
  if (!action) failUsage(command, word === '' ? 'What is to be done?' : `'${word}' is none of the words below`);
  if (names.length !== action.names.length || names.includes('')) {
    failUsage(command, `${word}: expected ${action.names.length === 0 ? 'no name' : action.names.join(' and ')}`);
  }
  const wrong = (Object.keys(values) as (keyof typeof values)[]).find(
    (option) => option !== 'json' && !action.options.includes(option),
  );
  if (wrong) failUsage(command, `--${wrong} is not for ${word}`);
  if (action.options.includes('reason') && (values.reason ?? '').trim() === '') {
    failUsage(command, `${word}: expected --reason TEXT, which is kept in the history`);
  }
  if (values.before !== undefined && !isVersionName(values.before)) {
    failUsage(command, `--before ${values.before}: expected a version such as 2026_11_22__17_57_15`);
  }
  readLimit();
  return action;
}

const action = readAction();
try {
  const config = loadSettings();
  const { answer, text } = await withPool(config, (pool) => action.run({ pool, config }));
  console.log(values.json ? JSON.stringify(answer) : text);
} catch (error) {
  console.error(error instanceof ConfigError ? error.message : reasonOf(error));
  process.exitCode = 1;
}
