/** What every scenario finds: a real PostgreSQL with a published pipeline, temporary directories, cores, and a plan. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { openDatabase } from '../src/process/open-database.ts';
import { openConnection } from './connection.ts';
import { type Cores, coresOf, takeCores } from './cores.ts';
import { startProcess } from './processes.ts';
import { predictionsOf, singleQuestions } from './questions.ts';
import { productionEnvironment, startBaseline, startService, type Target, trainScript } from './targets.ts';

/** How long and how often. */
export interface Plan {
  quick: boolean;
  /** Each target is measured so often, in turns. */
  rounds: number;
  /** Of one measurement. */
  seconds: number;
  /** For a new process to be compiled by V8 before it is measured. */
  warmUpSeconds: number;
}

export const ALPHA = 1;

export interface Bench {
  plan: Plan;
  cores: Cores;
  /** Where PostgreSQL runs, in one sentence. */
  databaseDescription: string;
  /** Temporary files, removed at the end. */
  root: string;
  databaseUrl: string;
  /** The version that was published with ALPHA and is served. */
  pipelineVersion: string;
  say(text: string): void;
  query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  startService(settings?: Record<string, string>, options?: { core?: string; alphas?: number[] }): Promise<Target>;
  startBaseline(name: 'fastify' | 'http'): Promise<Target>;
  /** Runs the training command and resolves with the seconds it took and the version that it published. */
  train(...options: string[]): Promise<{ seconds: number; version: string }>;
  /** Asks one question on a connection of its own; resolves with its status. */
  askOnce(target: Target): Promise<number>;
  /** Takes note of answers that no Target has counted. */
  countAnswered(rows: number): void;
  /**
   * Waits until everything answered is stored, then empties the table. Resolves with the seconds of waiting; rejects when
   * there are not as many rows as were answered.
   */
  drained(): Promise<number>;
  /** Rows that were answered, and found in Postgres, up to the last `drained`. */
  storedRows(): number;
  /** Stops the targets and forgets what they have answered: after a failure the next scenario starts with nothing. */
  forget(): Promise<void>;
  stopTargets(): Promise<void>;
  /** Stops everything, PostgreSQL last. */
  close(): Promise<void>;
}

const DRAIN_LIMIT_MS = 60_000;
const POLL_MS = 50;
const CLIENT_END_LIMIT_MS = 1000;

export async function openBench(plan: Plan, say: (text: string) => void): Promise<Bench> {
  const cores = takeCores();
  const root = await mkdtemp(join(tmpdir(), 'ridgeline-bench-'));
  // Started by root, PostgreSQL runs as `nobody`; where nobody may not enter, its files would go elsewhere, and stay.
  await chmod(root, 0o755);
  const database = await openDatabase({ databaseUrl: undefined, dataDir: join(root, 'database') });
  const client = new Client({ connectionString: database.url });
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query('select pg_backend_pid() as pid, version()');
  const server = /PostgreSQL [\d.]+/.exec(rows[0].version)?.[0];

  const place = { root, core: cores.measured };
  const environment = { DATABASE_URL: database.url, MODELS_DIR: join(root, 'models') };
  let targets: Target[] = [];
  let uncounted = 0;
  let storedRows = 0;
  let commands = 0;

  const bench: Bench = {
    plan,
    cores,
    databaseDescription: `${server} of its own runs on core(s) ${coresOf(rows[0].pid)}, its files in ${tmpdir()}.`,
    root,
    databaseUrl: database.url,
    pipelineVersion: '',
    say,
    query: async (text, values) => (await client.query(text, values)).rows,
    async startService(settings = {}, { core, alphas = [ALPHA] } = {}) {
      const where = core === undefined ? place : { root, core };
      const target = await startService({ ...environment, ...settings }, where, predictionsOf(...alphas));
      targets.push(target);
      return target;
    },
    async startBaseline(name) {
      const target = await startBaseline(name, place);
      targets.push(target);
      return target;
    },
    async train(...options) {
      const startedAt = performance.now();
      const command = startProcess([process.execPath, trainScript, '--json', ...options], {
        core: cores.measured,
        env: productionEnvironment(environment),
        outputFile: join(root, `train-${++commands}.log`),
      });
      const code = await command.ended;
      const seconds = (performance.now() - startedAt) / 1000;
      if (code !== 0) throw new Error(`The training ended with ${code}:\n${command.output()}`);
      const { version } = JSON.parse(command.output().trim().split('\n').at(-1)!) as { version: string };
      return { seconds, version };
    },
    async askOnce(target) {
      const connection = await openConnection(target.url);
      try {
        const { status } = await connection.ask(singleQuestions[0]!.request);
        if (status === 200) target.answeredRows++;
        return status;
      } finally {
        connection.close();
      }
    },
    countAnswered(count) {
      uncounted += count;
    },
    async drained() {
      const startedAt = performance.now();
      const expected = targets.reduce((sum, { stores, answeredRows }) => sum + (stores ? answeredRows : 0), uncounted);
      const deadline = Date.now() + DRAIN_LIMIT_MS;
      while (true) {
        const found = Number((await bench.query('select count(*) from predictions'))[0]!.count);
        if (found === expected) break;
        if (found > expected || Date.now() > deadline) {
          throw new Error(`${expected} predictions were answered, but ${found} are stored.`);
        }
        await delay(POLL_MS);
      }
      const seconds = (performance.now() - startedAt) / 1000;
      await bench.query('truncate predictions');
      storedRows += expected;
      uncounted = 0;
      for (const target of targets) target.answeredRows = 0;
      return seconds;
    },
    storedRows: () => storedRows,
    async forget() {
      await bench.stopTargets();
      await bench.query('truncate predictions');
      uncounted = 0;
    },
    async stopTargets() {
      await Promise.all(targets.map((target) => target.stop()));
      targets = [];
    },
    async close() {
      await bench.stopTargets();
      // While a statement runs, as it may when the benchmark is interrupted, the client would wait for it.
      await Promise.race([client.end(), delay(CLIENT_END_LIMIT_MS)]);
      await database.close();
      await rm(root, { recursive: true, force: true });
    },
  };
  bench.pipelineVersion = (await bench.train('--alpha', String(ALPHA))).version;
  return bench;
}
