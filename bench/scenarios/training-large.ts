/**
 * Training on a million made-up rows, beside scikit-learn on the same file: reading, 10-fold cross-validation and fit.
 * Ours compares the exported ONNX with the fit on every row and publishes as well. Both are pinned to one core.
 */
import { execFileSync } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { projectRoot } from '../../src/config.ts';
import { featureNames } from '../../src/feature-schema.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { residentMegabytes, startProcess } from '../processes.ts';
import { figure, type Row, ratios, shown } from '../report.ts';
import { median } from '../statistics.ts';
import type { Bench } from '../surroundings.ts';
import { productionEnvironment, trainScript } from '../targets.ts';

const ROWS = 1_000_000;
const WATCH_EVERY_MS = 20;
/** Where the oracle's virtual environment is by convention; see test/oracle. */
const PYTHONS = [process.env.ORACLE_PYTHON ?? '', '/tmp/oracle-venv/bin/python', 'python3'];

interface Training {
  seconds: number;
  /** The most resident memory that the process had. */
  megabytes: number;
}

export async function trainingLarge(bench: Bench): Promise<Row[]> {
  const rows = bench.plan.quick ? ROWS / 20 : ROWS;
  const quarter = await writeCsv(bench, rows / 4);
  const whole = await writeCsv(bench, rows);
  const python = PYTHONS.find((path) => path !== '' && canImportSklearn(path));

  const small: Training[] = [];
  const large: Training[] = [];
  const theirs: Training[] = [];
  for (let round = 0; round < Math.ceil(bench.plan.rounds / 2); round++) {
    small.push(await trainOn(bench, quarter));
    large.push(await trainOn(bench, whole));
    if (python) theirs.push(await fitWithSklearn(bench, python, whole));
    bench.say(
      `${rows} rows: ${shown(large.at(-1)!.seconds, 's')}${python ? `, scikit-learn ${shown(theirs.at(-1)!.seconds, 's')}` : ''}`,
    );
  }
  const seconds = (trainings: Training[]) => trainings.map((training) => training.seconds);
  const megabytes = (trainings: Training[]) => trainings.map((training) => training.megabytes);
  const count = rows.toLocaleString('en-US');
  const versus: Row = python
    ? figure(`training, ${count} rows: of scikit-learn's time`, ratios(seconds(large), seconds(theirs)), {
        unit: 'x',
        atMost: 1.5,
        note: `${shown(median(seconds(large)), 's')} against ${shown(median(seconds(theirs)), 's')}, each from reading the CSV file`,
      })
    : {
        what: `training, ${count} rows: of scikit-learn's time`,
        measured: '–',
        note: 'no Python with scikit-learn: set ORACLE_PYTHON',
      };
  return [
    versus,
    figure(
      `training, ${count} rows: time a row, of a quarter of the rows`,
      ratios(seconds(large), seconds(small)).map((ratio) => ratio / 4),
      {
        unit: 'x',
        atMost: 1.25,
        note: '1 is linear in rows',
      },
    ),
    figure(`training, ${count} rows: most resident memory`, megabytes(large), {
      unit: 'MB',
      note: `${shown(median(megabytes(small)), 'MB')} at a quarter of the rows${python ? `; scikit-learn ${shown(median(megabytes(theirs)), 'MB')}` : ''}`,
    }),
  ];
}

/** Times what the command itself reports, from the first byte read to the publication, and watches its memory. */
async function trainOn(bench: Bench, csv: string): Promise<Training> {
  const command = startProcess([process.execPath, trainScript, '--json', '--data', csv], {
    core: bench.cores.measured,
    env: productionEnvironment({ DATABASE_URL: bench.databaseUrl, MODELS_DIR: join(bench.root, 'models') }),
    outputFile: join(bench.root, 'training-large.log'),
  });
  let megabytes = 0;
  while (!command.hasEnded()) {
    // NaN once the process is gone.
    megabytes = Math.max(megabytes, residentMegabytes(command.pid, 'VmHWM') || 0);
    await delay(WATCH_EVERY_MS);
  }
  if ((await command.ended) !== 0) throw new Error(`The training failed:\n${command.output()}`);
  const { duration_ms } = JSON.parse(command.output().trim().split('\n').at(-1)!) as { duration_ms: number };
  return { seconds: duration_ms / 1000, megabytes };
}

async function fitWithSklearn(bench: Bench, python: string, csv: string): Promise<Training> {
  const command = startProcess([python, join(projectRoot, 'test/oracle/fit_time.py'), '--csv', csv], {
    core: bench.cores.measured,
    // One core has no use for more threads.
    env: { ...process.env, OPENBLAS_NUM_THREADS: '1', OMP_NUM_THREADS: '1' },
    outputFile: join(bench.root, 'sklearn.log'),
  });
  if ((await command.ended) !== 0) throw new Error(`scikit-learn failed:\n${command.output()}`);
  const result = JSON.parse(command.output().trim().split('\n').at(-1)!) as Record<string, number>;
  return {
    seconds: result.read_seconds! + result.fit_seconds! + result.cross_validate_seconds!,
    megabytes: (result.rss_mb! * 2 ** 20) / 1e6,
  };
}

function canImportSklearn(python: string): boolean {
  if (python.startsWith('/') && !existsSync(python)) return false;
  try {
    execFileSync(python, ['-c', 'import sklearn, pandas'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Rows uniform over each column's range in the data set; the target is linear in three of them, plus noise. */
async function writeCsv(bench: Bench, rows: number): Promise<string> {
  const file = join(bench.root, `training-${rows}.csv`);
  await pipeline(Readable.from(csvLines(rows)), createWriteStream(file));
  return file;
}

function* csvLines(rows: number): Generator<string> {
  const names = featureNames(housing);
  const { X } = loadHousingDataset();
  const columns = housing.features.map(({ name, kind }, column) => {
    const values = Array.from({ length: X.rows }, (_, row) => X.data[row * X.columns + column]!);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const categories = [...new Set(values)];
    const uniform = (u: number) => low + (high - low) * u;
    return {
      name,
      draw: kind === 'categorical' ? (u: number) => categories[Math.floor(u * categories.length)]! : uniform,
    };
  });
  const u = pseudoRandom();
  yield `${[...names, housing.target.name].join(',')}\n`;
  for (let row = 0; row < rows; row++) {
    const shares = columns.map(() => u());
    const values = columns.map(({ draw }, column) => draw(shares[column]!));
    const target = 30 + 4 * shares[names.indexOf('RM')]! - 8 * shares[names.indexOf('LSTAT')]! + 4 * (u() - 0.5);
    yield `${[...values, target].join(',')}\n`;
  }
}

/** The same numbers from 0 to 1 in every run: a linear congruential generator (Numerical Recipes, 2nd ed., p. 284). */
function pseudoRandom(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
