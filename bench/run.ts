/** npm run bench: measures the built service against baselines, scenario by scenario, and prints one table. */
import { parseArgs } from 'node:util';
import { reasonOf } from '../src/errors.ts';
import { killStarted } from './processes.ts';
import { asText, fact, findPlace, type Row } from './report.ts';
import { batch } from './scenarios/batch.ts';
import { bigTable } from './scenarios/big-table.ts';
import { halfPeak } from './scenarios/half-peak.ts';
import { memory } from './scenarios/memory.ts';
import { oneConnection } from './scenarios/one-connection.ts';
import { overload } from './scenarios/overload.ts';
import { startUp } from './scenarios/start-up.ts';
import { swap } from './scenarios/swap.ts';
import { throughput } from './scenarios/throughput.ts';
import { training } from './scenarios/training.ts';
import { trainingLarge } from './scenarios/training-large.ts';
import { workers } from './scenarios/workers.ts';
import { type Bench, openBench, type Plan } from './surroundings.ts';

type Scenario = (bench: Bench) => Promise<Row[]>;

const usual: Record<string, Scenario> = {
  // First: after millions of rows PostgreSQL has files to write, and a start waits for it.
  'start-up': startUp,
  training,
  throughput,
  'one-connection': oneConnection,
  'half-peak': halfPeak,
  batch,
  overload,
  swap,
  memory,
  workers,
};
/** These take minutes each and run only by name. */
const long: Record<string, Scenario> = { 'big-table': bigTable, 'training-large': trainingLarge };

const FULL: Plan = { quick: false, rounds: 5, seconds: 3, warmUpSeconds: 3 };
const QUICK: Plan = { quick: true, rounds: 1, seconds: 0.4, warmUpSeconds: 0.3 };
/** A benchmark that hangs is ended; the long scenarios have longer. */
const LIMIT_MINUTES = { usual: 10, long: 60 };

const usage = `Usage: npm run bench -- [options]

  --quick          under a minute, to see that all works; the figures are rough
  --only NAME      one scenario: ${Object.keys(usual).join(', ')};
                   or one that runs only by name: ${Object.keys(long).join(', ')}
  --markdown FILE  writes the table into the document too, between its marks for this command
  --help

Exit codes: 0 measured, whether or not every bar was met; 1 something failed or was answered wrongly; 2 bad usage.`;

/** Ends the benchmark early, with everything it has started. */
let interrupt = async (why: string): Promise<void> => {
  print(why);
  process.exit(1);
};
let interrupted = false;

const print = (text: string) => process.stdout.write(`${text}\n`);

function readArguments() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      markdown: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const { only } = values;
  if (only !== undefined && !(only in usual) && !(only in long)) throw new Error(`--only ${only}: no such scenario`);
  const place =
    values.markdown === undefined ? undefined : findPlace(values.markdown, only ? `bench ${only}` : 'bench');
  return { ...values, only, place };
}

/** Runs one scenario; what fails in it is a row of the table, and the others go on. */
async function measure(bench: Bench, name: string, scenario: Scenario): Promise<Row[]> {
  const startedAt = performance.now();
  if (interrupted) return [];
  print(`${name} …`);
  try {
    const rows = await scenario(bench);
    await bench.drained();
    return rows;
  } catch (error) {
    if (!interrupted) await bench.forget();
    return [{ what: name, measured: '–', verdict: 'failed', note: reasonOf(error).replaceAll('\n', ' ') }];
  } finally {
    await bench.stopTargets();
    print(`  ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  }
}

async function run({ quick, only, place }: ReturnType<typeof readArguments>): Promise<boolean> {
  const scenarios = only === undefined ? usual : { [only]: (usual[only] ?? long[only])! };
  const bench = await openBench(quick ? QUICK : FULL, (text) => print(`  ${text}`));
  interrupt = async (why) => {
    if (interrupted) return;
    interrupted = true;
    print(why);
    killStarted();
    await bench.close();
    process.exit(1);
  };
  const rows: Row[] = [];
  try {
    const places = [bench.cores.description, bench.databaseDescription];
    print(places.join('\n'));
    for (const [name, scenario] of Object.entries(scenarios)) rows.push(...(await measure(bench, name, scenario)));
    if (interrupted) return false;
    const failed = rows.some(({ verdict }) => verdict === 'failed');
    const stored = bench.storedRows().toLocaleString('en-US');
    if (bench.storedRows() > 0) {
      rows.push(
        fact('predictions stored, of those answered with 200', !failed, {
          measured: `${stored} of ${stored}`,
          bar: 'all, once',
        }),
      );
    }
    const options = [...(quick ? ['--quick'] : []), ...(only ? ['--only', only] : [])];
    const command = ['npm run bench', ...(options.length > 0 ? ['--', ...options] : [])].join(' ');
    place?.write(rows, { command, places });
    print(`\n${asText(rows)}\n`);
    const missed = rows.filter(({ verdict }) => verdict === 'missed').map(({ what }) => what);
    print(missed.length === 0 ? 'No bar is missed.' : `Missed: ${missed.join('; ')}.`);
    const unclear = rows.filter(({ verdict }) => verdict === 'unclear').map(({ what }) => what);
    if (unclear.length > 0) print(`Unclear, as the machine was not quiet: ${unclear.join('; ')}.`);
    if (failed) print(`Failed: ${rows.filter(({ verdict }) => verdict === 'failed').map(({ what }) => what)}.`);
    return !failed;
  } finally {
    if (!interrupted) await bench.close();
  }
}

let parsed: ReturnType<typeof readArguments>;
try {
  parsed = readArguments();
} catch (error) {
  print(`${reasonOf(error)}\n\n${usage}`);
  process.exit(2);
}
if (parsed.help) {
  print(usage);
} else {
  process.once('exit', killStarted);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void interrupt(`${signal}: ending.`));
  // Whoever read the output has gone, as `| head` does.
  process.stdout.on('error', () => void interrupt('nobody reads this'));
  const minutes = parsed.only !== undefined && parsed.only in long ? LIMIT_MINUTES.long : LIMIT_MINUTES.usual;
  setTimeout(() => void interrupt(`Not done within ${minutes} minutes; ending.`), minutes * 60_000).unref();
  process.exitCode = await run(parsed).then(
    (succeeded) => (succeeded ? 0 : 1),
    (error: unknown) => {
      print(`The benchmark failed. ${reasonOf(error)}`);
      return 1;
    },
  );
}
