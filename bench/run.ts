/** npm run bench: measures the built service against baselines, scenario by scenario, and prints one table. */
import { parseArgs } from 'node:util';
import { reasonOf } from '../src/errors.ts';
import { type Bench, openBench, type Plan } from './environment.ts';
import { asText, type Row, writeInto } from './report.ts';
import { batch } from './scenarios/batch.ts';
import { bigTable } from './scenarios/big-table.ts';
import { latency } from './scenarios/latency.ts';
import { learning } from './scenarios/learning.ts';
import { memory } from './scenarios/memory.ts';
import { monitoring } from './scenarios/monitoring.ts';
import { overload } from './scenarios/overload.ts';
import { ownData, unknownTexts } from './scenarios/penguins.ts';
import { start } from './scenarios/start.ts';
import { swap } from './scenarios/swap.ts';
import { throughput } from './scenarios/throughput.ts';
import { killStarted } from './targets.ts';

type Scenario = (bench: Bench) => Promise<Row[]>;

// `start` first: after millions of rows PostgreSQL has files to write, and a start waits for it.
const usual: Record<string, Scenario> = {
  start,
  throughput,
  latency,
  batch,
  overload,
  swap,
  memory,
  penguins: ownData,
};
/** Takes minutes and runs only by name. */
const long: Record<string, Scenario> = { 'big-table': bigTable, 'unknown-texts': unknownTexts, monitoring, learning };

const FULL: Plan = { quick: false, rounds: 3, seconds: 1, warmUpSeconds: 3 };
const QUICK: Plan = { quick: true, rounds: 1, seconds: 0.4, warmUpSeconds: 0.3 };
/** A benchmark that hangs is ended. */
const LIMIT_MINUTES = 60;

const usage = `Usage: npm run bench -- [options]

  --quick          under a minute, to see that all works; the figures are rough
  --only NAME      one scenario: ${Object.keys(usual).join(', ')};
                   or, only by name: ${Object.keys(long).join(', ')}
  --markdown FILE  writes the table into the document too, between its marks for this command
  --help

Exit codes: 0 measured, whether or not every bar was met; 1 something failed or was answered wrongly; 2 bad usage.`;

const print = (text: string) => process.stdout.write(`${text}\n`);

function readArguments() {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({ options: { quick: flag, only: text, markdown: text, help: flag } });
  const { only } = values;
  if (only !== undefined && !(only in usual) && !(only in long)) throw new Error(`--only ${only}: no such scenario`);
  return values;
}

/** Runs one scenario; what fails in it is a row of the table, and the others go on. */
async function measure(bench: Bench, name: string, scenario: Scenario): Promise<Row[]> {
  const startedAt = performance.now();
  print(`${name} …`);
  try {
    const rows = await scenario(bench);
    await bench.drained();
    await bench.stopTargets();
    return rows;
  } catch (error) {
    await bench.discardTargets();
    return [{ what: name, measured: '–', verdict: 'failed', note: reasonOf(error).replaceAll('\n', ' ') }];
  } finally {
    print(`  ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  }
}

let bench: Bench | undefined;

/** Whether everything was answered rightly. */
async function run({ quick, only, markdown }: ReturnType<typeof readArguments>): Promise<boolean> {
  const scenarios = only === undefined ? usual : { [only]: (usual[only] ?? long[only])! };
  bench = await openBench(quick ? QUICK : FULL, (text) => print(`  ${text}`));
  try {
    print(bench.cores.description);
    const rows: Row[] = [];
    for (const [name, scenario] of Object.entries(scenarios)) rows.push(...(await measure(bench, name, scenario)));
    const stored = bench.storedRows().toLocaleString('en-US');
    const namesOf = (verdict: Row['verdict']) => rows.filter((row) => row.verdict === verdict).map(({ what }) => what);
    const failed = namesOf('failed');
    print(`\n${asText(rows)}\n\n${stored} rows answered with 200 were stored, all of them, once.`);
    print(namesOf('missed').length === 0 ? 'No bar is missed.' : `Missed: ${namesOf('missed').join('; ')}.`);
    if (failed.length > 0) print(`Failed: ${failed.join('; ')}.`);
    if (markdown !== undefined) {
      const options = [...(quick ? ['--quick'] : []), ...(only ? ['--only', only] : [])];
      const command = ['npm run bench', ...(options.length > 0 ? ['--', ...options] : [])].join(' ');
      writeInto(markdown, only ? `bench ${only}` : 'bench', rows, [`Command: \`${command}\``, bench.cores.description]);
    }
    return failed.length === 0;
  } finally {
    await bench.close();
  }
}

let values: ReturnType<typeof readArguments>;
try {
  values = readArguments();
} catch (error) {
  print(`${reasonOf(error)}\n\n${usage}`);
  process.exit(2);
}
if (values.help) {
  print(usage);
  process.exit(0);
}
/** Ends early, with everything that has been started. */
const interrupt = async (why: string) => {
  print(why);
  killStarted();
  await bench?.close();
  process.exit(1);
};
process.once('exit', killStarted);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void interrupt(`${signal}: ending.`));
// Whoever read the output has gone, as `| head` does.
process.stdout.once('error', () => void interrupt('nobody reads this'));
setTimeout(() => void interrupt(`Not done within ${LIMIT_MINUTES} minutes; ending.`), LIMIT_MINUTES * 60_000).unref();
process.exitCode = await run(values).then(
  (succeeded) => (succeeded ? 0 : 1),
  (error: unknown) => {
    print(`The benchmark failed. ${reasonOf(error)}`);
    return 1;
  },
);
