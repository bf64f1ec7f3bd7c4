/** What every scenario finds: a real PostgreSQL with a published pipeline, temporary directories, cores, and a plan. */
import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { openDatabase } from '../src/process/open-database.ts';
import { type Cores, takeCores } from './cores.ts';
import { predictionsOf } from './requests.ts';
import {
  type Baseline,
  productionEnvironment,
  script,
  startBaseline,
  startProcess,
  startService,
  type Target,
} from './targets.ts';

/** How long and how often. */
export interface Plan {
  quick: boolean;
  /** Each target is measured so often, in turns. */
  rounds: number;
  /** Of one measurement. A shared machine changes its speed from one second to the next, so turns are short. */
  seconds: number;
  /** For a new process to be compiled by V8 before it is measured. */
  warmUpSeconds: number;
}

const answeredBy = (targets: readonly Target[]) => targets.reduce((sum, { answeredRows }) => sum + answeredRows, 0);

/** Of the pipeline that is served when a scenario begins. */
export const ALPHA = 1;

export type Bench = Awaited<ReturnType<typeof openBench>>;

const DRAIN_LIMIT_MS = 60_000;
const CLIENT_END_LIMIT_MS = 1000;

export async function openBench(plan: Plan, log: (text: string) => void) {
  const cores: Cores = takeCores();
  const root = await mkdtemp(join(tmpdir(), 'ridgeline-bench-'));
  // Started by root, PostgreSQL runs as `nobody`; where nobody may not enter, its files would go elsewhere, and stay.
  await chmod(root, 0o755);
  const database = await openDatabase({ databaseUrl: undefined, dataDir: join(root, 'database') });
  const client = new Client({ connectionString: database.url });
  client.on('error', () => undefined);
  await client.connect();
  const place = { root, core: cores.measured };
  const settings = { DATABASE_URL: database.url, MODELS_DIR: join(root, 'models') };
  const query = async (text: string, values?: unknown[]) => (await client.query(text, values)).rows;
  let targets: Target[] = [];
  let uncounted = 0;
  let storedRows = 0;

  /** Runs the training command; resolves with the seconds it took and the version that it published. */
  async function train(...options: string[]): Promise<{ seconds: number; version: string }> {
    const startedAt = performance.now();
    const command = startProcess(
      [...script('scripts/train.js'), '--json', ...options],
      productionEnvironment(settings),
      place,
    );
    if ((await command.ended) !== 0) throw new Error(`The training failed:\n${command.output()}`);
    const seconds = (performance.now() - startedAt) / 1000;
    const { version } = JSON.parse(command.output().trim().split('\n').at(-1)!) as { version: string };
    return { seconds, version };
  }

  /** Waits until the table holds so many rows, then empties it. */
  async function emptied(table: string, expected: number): Promise<void> {
    for (const deadline = Date.now() + DRAIN_LIMIT_MS; ; await delay(50)) {
      const found = Number((await query(`select count(*) from ${table}`))[0]!.count);
      if (found === expected) break;
      if (found > expected || Date.now() > deadline) {
        throw new Error(`${expected} rows were answered, but ${found} are in ${table}.`);
      }
    }
    await query(`truncate ${table}`);
  }

  function add(target: Target): Target {
    targets.push(target);
    return target;
  }

  async function stopTargets(): Promise<void> {
    await Promise.all(targets.map((target) => target.stop()));
    targets = [];
  }

  const { version: pipelineVersion } = await train('--alpha', String(ALPHA));
  // Of its own, as models/ keeps few versions.
  const artefact = join(root, 'hand-written.onnx');
  await copyFile(join(root, 'models', `pipeline_${pipelineVersion}.onnx`), artefact);
  return {
    plan,
    cores,
    log,
    query,
    train,
    place,
    settings,
    pipelineVersion,
    stopTargets,
    storedRows: () => storedRows,
    startService: async (more: Record<string, string> = {}, alphas: readonly number[] = [ALPHA]) =>
      add(await startService({ ...settings, ...more }, place, predictionsOf(...alphas))),
    startBaseline: async (name: Baseline) =>
      add(await startBaseline(name, { DATABASE_URL: database.url }, place, { artefact, check: predictionsOf(ALPHA) })),
    /** Takes note of answers that no target has counted. */
    countAnswered(rows: number): void {
      uncounted += rows;
    },
    /**
     * Waits until everything answered is stored, then empties the table. Resolves with the seconds of waiting; rejects
     * when there are not as many rows as were answered.
     */
    async drained(): Promise<number> {
      const startedAt = performance.now();
      // What is stored after the answer must not take the time of the next turn.
      const others = targets.filter(({ table }) => table === 'hand_written');
      if (others.length > 0) await emptied('hand_written', answeredBy(others));
      const expected = answeredBy(targets.filter(({ table }) => table === 'predictions')) + uncounted;
      await emptied('predictions', expected);
      const seconds = (performance.now() - startedAt) / 1000;
      storedRows += expected;
      uncounted = 0;
      for (const target of targets) target.answeredRows = 0;
      return seconds;
    },
    /** After a failure: the next scenario starts with nothing. */
    async discardTargets(): Promise<void> {
      await stopTargets();
      await query('truncate predictions');
      uncounted = 0;
    },
    /** Stops everything, PostgreSQL last. */
    async close(): Promise<void> {
      await stopTargets();
      // While a statement runs, as it may when the benchmark is interrupted, the client would wait for it.
      await Promise.race([client.end(), delay(CLIENT_END_LIMIT_MS)]);
      await database.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/**
 * Measures each side once a round, one after the other: what the machine does in one minute then touches all of them. Gives
 * each side's values, one a round.
 */
export async function inTurns<Side extends string, Value>(
  rounds: number,
  sides: Record<Side, () => Promise<Value>>,
): Promise<Record<Side, Value[]>> {
  const names = Object.keys(sides) as Side[];
  const values = Object.fromEntries(names.map((name) => [name, [] as Value[]])) as Record<Side, Value[]>;
  for (let round = 0; round < rounds; round++) for (const name of names) values[name].push(await sides[name]());
  return values;
}
