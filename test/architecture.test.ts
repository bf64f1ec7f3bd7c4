import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

/**
 * The rooms from the lowest level to the highest: a room may import from lower levels, never from its own or above.
 * A file that lies in src/ itself is a room of its own.
 */
const levels = [
  ['env-file', 'free-port', 'listing', 'nearest-name', 'project-root', 'version-name', 'within'],
  ['setting-names'],
  ['database-url'],
  ['agreement', 'backoff', 'clock', 'closers', 'config', 'disk-advice', 'errors', 'health', 'line-sink', 'runtime'],
  ['log', 'contract', 'metrics'],
  ['outage'],
  ['estimators', 'onnx', 'database', 'embedded-postgres'],
  ['inference', 'registry', 'prediction-log', 'ground-truth'],
  ['serving', 'training', 'publishing', 'gate', 'monitoring'],
  ['retraining', 'http'],
  ['housing'],
  ['process'],
  ['app', 'admin'],
  ['server'],
  ['scripts'],
];
/** Who composes the house and may know the data set by name. */
const composition = ['process', 'app', 'admin', 'server', 'scripts'];

interface Import {
  /** The importing file, from the root, such as src/app.ts. */
  from: string;
  /** A file from the root, or the name of a package or of a module of Node. */
  to: string;
}

const files = ['src', 'scripts'].flatMap(filesIn);
const sources = textsOf(files);

/** TypeScript in a directory, as paths from the root. */
function filesIn(directory: string): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => join(directory, file).split(sep).join('/'));
}

function textsOf(paths: readonly string[]): Map<string, string> {
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}

/** What an import or a re-export ends in, on one line or on the last of several; or a dynamic import. */
const statement =
  /^(?:import\b(?:[^'"\n]*\bfrom)?|export\b[^'"\n]*\bfrom|\} from)\s*['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;

const imports = importsOf(sources);

function importsOf(texts: ReadonlyMap<string, string>): Import[] {
  return Array.from(texts).flatMap(([from, text]) =>
    Array.from(text.matchAll(statement), ([, stated, dynamic]) => ({ from, to: resolve(from, (stated ?? dynamic)!) })),
  );
}

function resolve(from: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  return relative(root, join(root, dirname(from), specifier))
    .split(sep)
    .join('/');
}

/** src/http/routes/predict.ts is in http, src/app.ts is app, scripts/train.ts is in scripts. */
function roomOf(file: string): string {
  const [top, room] = file.split('/');
  return top === 'scripts' ? top : room!.replace(/\.ts$/, '');
}

const levelOf = (file: string) => levels.findIndex((rooms) => rooms.includes(roomOf(file)));
const isOurs = (to: string) => /^(src|scripts)\//.test(to) && !to.endsWith('.json');
const packageOf = (to: string) =>
  to
    .split('/')
    .slice(0, to.startsWith('@') ? 2 : 1)
    .join('/');
const show = ({ from, to }: Import) => `${from} imports ${to}`;

/** The files that import one of these packages. */
function importersOf(...packages: string[]): string[] {
  return [...new Set(imports.filter(({ to }) => packages.includes(packageOf(to))).map(({ from }) => from))];
}

describe('the source files', () => {
  test('are found, and so are their imports, types and side effects too', () => {
    expect(files).toContain('src/app.ts');
    expect(imports.length).toBeGreaterThan(files.length);
    expect(imports).toContainEqual({ from: 'src/app.ts', to: 'src/config.ts' });
    expect(imports).toContainEqual({ from: 'src/inference/onnx-session.ts', to: 'src/runtime.ts' });
    expect(imports).toContainEqual({ from: 'src/http/routes/predict.ts', to: 'src/contract/contract.ts' });
    for (const { to } of imports.filter((one) => isOurs(one.to))) expect(files).toContain(to);
  });

  test('all lie in a room that the plan of the house knows', () => {
    expect(files.filter((file) => levelOf(file) === -1)).toEqual([]);
  });

  test('have names that say what is in them: no utils, no helpers, no index', () => {
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|index|common|misc|shared)(\.ts|\/)/.test(file))).toEqual([]);
  });
});

describe('imports', () => {
  test('run one way: from a room to lower ones, and not to its neighbours', () => {
    const wrong = imports.filter(
      ({ from, to }) => isOurs(to) && roomOf(from) !== roomOf(to) && levelOf(to) >= levelOf(from),
    );
    expect(wrong.map(show)).toEqual([]);
  });

  test('make no cycle', () => {
    const cycles: string[] = [];
    const done = new Set<string>();
    function visit(file: string, path: string[]): void {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (done.has(file) || path.includes(file)) return;
      for (const { to } of imports.filter(({ from }) => from === file)) if (isOurs(to)) visit(to, [...path, file]);
      done.add(file);
    }
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test('of src/housing are in the composition alone', () => {
    const knowing = imports.filter(({ from, to }) => to.startsWith('src/housing/') && roomOf(from) !== 'housing');
    expect(knowing.length).toBeGreaterThan(0);
    expect(knowing.filter(({ from }) => !composition.includes(roomOf(from))).map(show)).toEqual([]);
  });

  test('name the file with its ending, and no directory', () => {
    for (const { to } of imports.filter((one) => isOurs(one.to))) expect(to).toMatch(/\.ts$/);
  });
});

describe('one place alone knows', () => {
  test('fastify: http/ and app.ts', () => {
    const knowing = importersOf('fastify', 'fastify-type-provider-zod', '@fastify/swagger', '@fastify/swagger-ui');
    expect(knowing).toContain('src/app.ts');
    expect(knowing.filter((file) => file !== 'src/app.ts' && roomOf(file) !== 'http')).toEqual([]);
  });

  test('pg: database/ and embedded-postgres/; COPY streams: the owner of the table', () => {
    expect(new Set(importersOf('pg', 'node-pg-migrate').map(roomOf))).toEqual(
      new Set(['database', 'embedded-postgres']),
    );
    expect(importersOf('pg-copy-streams')).toEqual(['src/prediction-log/postgres/predictions-table.ts']);
  });

  test('pg-connection-string: database-url.ts', () => {
    expect(importersOf('pg-connection-string')).toEqual(['src/database-url.ts']);
  });

  test('onnxruntime-node: inference/onnx-session.ts', () => {
    expect(importersOf('onnxruntime-node')).toEqual(['src/inference/onnx-session.ts']);
  });

  test('prom-client: metrics/exposition.ts', () => {
    expect(importersOf('prom-client')).toEqual(['src/metrics/exposition.ts']);
  });

  test('the time of day: clock.ts; whoever asks for it is handed a clock, and a statement is handed the time', () => {
    const asks = /\bnew Date\(\)|\bDate\.now\(|\bnow\(\)|clock_timestamp|current_timestamp/;
    /** What is said of the machine as it is: its files, its processes, and how long it has waited. */
    const asking = Object.keys(askFor);
    const found = files.filter((file) =>
      sources
        .get(file)!
        .split('\n')
        .some((line) =>
          asks.test(line.replaceAll(/clock\.now\(\)|systemClock\.now\(\)|performance\.now\(\)|\bnow\(\): Date/g, '')),
        ),
    );
    expect(found.sort()).toEqual(asking.sort());
  });

  test('process.env: config.ts, and runtime.ts for what a library reads', () => {
    const knowing = files.filter((file) =>
      /process\.env|\{[^}]*\benv\b[^}]*\} = process|import.*\benv\b.*'node:process'/.test(sources.get(file)!),
    );
    expect(knowing.sort()).toEqual(['src/config.ts', 'src/runtime.ts']);
  });
});

/** Who asks the machine for the time all the same, and why. */
const askFor: Record<string, string> = {
  'src/clock.ts': 'it is the clock',
  'src/database/migrate.ts': 'how long it has waited',
  'src/embedded-postgres/embedded-postgres.ts': 'how long it has waited',
  'src/embedded-postgres/postmaster.ts': 'how long it has waited, and how old a file is',
  'src/embedded-postgres/workshop.ts': 'how old a file is',
  'src/prediction-log/relay/dead-letters.ts': 'for people who read the file, beside its own times',
  'src/prediction-log/spool/segment.ts': 'how old a file is',
  'src/prediction-log/spool/spool-usage.ts': 'how old a file is',
  'src/process/daily.ts': 'whether the clock and that of PostgreSQL agree',
};

const MOST_LINES_OF_A_FILE = 250;
const MOST_LINES_OF_A_FUNCTION = 70;
/** Functions that are longer, and why. */
const longFor: Record<string, string> = {
  'src/app.ts compose': 'the composition root: every part is made once, one after another',
};

describe('length', () => {
  test(`of a file is at most ${MOST_LINES_OF_A_FILE} lines`, () => {
    const long = [...sources].map(([file, text]) => [file, text.split('\n').length - 1] as const);
    expect(long.filter(([, lines]) => lines > MOST_LINES_OF_A_FILE)).toEqual([]);
  });

  test(`of a function is at most ${MOST_LINES_OF_A_FUNCTION} lines, without the functions and methods declared in it`, () => {
    const found = [...sources].flatMap(([file, text]) => functionsIn(text).map((one) => ({ file, ...one })));
    expect(found.length).toBeGreaterThan(files.length);
    const long = found.filter(({ lines }) => lines > MOST_LINES_OF_A_FUNCTION);
    expect(long.filter(({ file, name }) => !(`${file} ${name}` in longFor))).toEqual([]);
  });

  test('is found of functions in functions, of methods and of arrow functions', () => {
    const text = `export function outer({\n  a,\n}: Options): void {\n  const arrow = (b) => {\n    b();\n  };\n  return {\n    async method(c) {\n    },\n  };\n}\n`;
    expect(functionsIn(text)).toEqual([
      { name: 'arrow', lines: 3 },
      { name: 'method', lines: 2 },
      { name: 'outer', lines: 6 },
    ]);
  });
});

/** Where a function begins that has a name and several lines, as Biome writes it. */
const head =
  /^( *)(?:(?:export )?(?:async )?function\*? (\w+)|(?:export )?const (\w+) = (?:async )?(?:\(.*|\w+ )=> \{$|(?:async )?(?!(?:if|for|while|switch|catch|function)\b)(\w+)\(.*\) \{$)/;

/** Functions with their lines, without those of the functions in them. It ends at the bracket below its first letter. */
function functionsIn(text: string): { name: string; lines: number }[] {
  const open: { name: string; indent: string; lines: number }[] = [];
  const found: { name: string; lines: number }[] = [];
  for (const line of text.split('\n')) {
    const [, indent, ...names] = head.exec(line) ?? [];
    if (indent !== undefined && !line.endsWith(';')) open.push({ name: names.find(Boolean)!, indent, lines: 0 });
    const innermost = open.at(-1);
    if (!innermost) continue;
    innermost.lines++;
    if (!/^\}[;,)]*$/.test(line.slice(innermost.indent.length)) || !line.startsWith(innermost.indent)) continue;
    open.pop();
    found.push({ name: innermost.name, lines: innermost.lines });
  }
  return found;
}

/** Values that no other source file uses, and why they are exported all the same. */
const exportedFor: Record<string, string> = {
  'src/agreement.ts AGREEMENT_TOLERANCE': 'tests put differences on both sides of it',
  'src/config.ts settingNames': 'README and .env.example are compared with it',
  'src/embedded-postgres/binaries.ts findPackage': 'platforms other than this one cannot be had in a test',
  'src/env-file.ts parseEnvFile': 'a property test compares it with dotenv, without a file for each text',
  'src/inference/half-widths.ts rankOf': 'ranks are compared with those of MAPIE, of few errors too',
  'src/monitoring/alarms.ts afterLook': 'a property test needs no database for it',
  'src/onnx/export-pipeline.ts INPUT_NAME': 'the bench runs a pipeline without our code, as anybody may',
  'src/onnx/export-pipeline.ts OUTPUT_NAME': 'the bench runs a pipeline without our code, as anybody may',
  'src/prediction-log/postgres/feature-columns.ts refuseUnstorable': 'tests need no database for it',
  'src/prediction-log/postgres/tuples.ts splitRecords': 'tests compare records one by one',
  'src/monitoring/drift-measures.ts upperTail': 'compared with scipy, of many statistics and degrees of freedom',
  'src/monitoring/drift-report.ts driftOf': 'simulations of months need no database for it',
  'src/retraining/child-script.ts runLimited': 'tests run children that hang, die and eat memory',
  'src/nearest-name.ts editDistance': 'a property test compares it with the definition',
};

describe('what is exported', () => {
  const exported = [...sources].flatMap(([file, text]) =>
    Array.from(
      text.matchAll(/^export (?:async )?(function\*?|const|let|class|interface|type) (\w+)/gm),
      ([, kind, name]) => ({
        file,
        name: name!,
        isType: kind === 'interface' || kind === 'type',
      }),
    ),
  );
  const isUsed = ({ file, name, isType }: (typeof exported)[number]) => {
    const word = new RegExp(`\\b${name}\\b`, 'g');
    // A type may be there for what its own file exports.
    if (isType && sources.get(file)!.match(word)!.length > 1) return true;
    return [...sources].some(([other, text]) => other !== file && text.search(word) !== -1);
  };

  test('has a user in src/ or scripts/, or a reason', () => {
    const unused = exported.filter((one) => !isUsed(one)).map(({ file, name }) => `${file} ${name}`);
    expect(exported.length).toBeGreaterThan(files.length);
    expect(unused.sort()).toEqual(Object.keys(exportedFor).sort());
  });
});

/**
 * The test of what has none of its own name and is imported by none, because it is reached by way of something else: for
 * a file, or for all of a directory that have no test of their own.
 */
const testedBy: Record<string, string> = {
  'scripts/': 'server/commands',
  'scripts/pipelines-text.ts': 'server/pipelines',
  'scripts/pipelines.ts': 'server/pipelines',
  'scripts/schedule.ts': 'server/schedule',
  'scripts/spool.ts': 'server/spool',
  'scripts/train-arguments.ts': 'server/commands',
  'scripts/train-text.ts': 'server/train',
  'scripts/train.ts': 'server/swap',
  'src/contract/': 'contract/declaration',
  'src/database/probe.ts': 'http/health',
  'src/embedded-postgres/': 'embedded-postgres/embedded-postgres',
  'src/gate/': 'retraining/training-run',
  'src/ground-truth/': 'ground-truth/record-labels',
  'src/http/': 'http/predict',
  'src/http/connections/': 'http/connections/connections',
  'src/http/parse-body.ts': 'http/unreadable-bodies',
  'src/http/plugins/docs.ts': 'http/docs',
  'src/http/plugins/drain.ts': 'http/connections/connections',
  'src/http/plugins/request-id.ts': 'http/errors',
  'src/http/routes/health.ts': 'http/health',
  'src/http/schemas/': 'http/docs',
  'src/listing.ts': 'contract/compare',
  'src/monitoring/': 'monitoring/job',
  'src/monitoring/interval-quantiles.ts': 'http/intervals-and-contributions',
  'src/log.ts': 'line-sink',
  'src/metrics/service-samples.ts': 'http/metrics',
  'src/onnx/': 'onnx/fence',
  'src/outage.ts': 'prediction-log/relay/relay',
  'src/prediction-log/intake.ts': 'prediction-log/prediction-log',
  'src/prediction-log/postgres/': 'prediction-log/postgres/predictions-table',
  'src/prediction-log/relay/': 'prediction-log/relay/relay',
  'src/prediction-log/spool-lines.ts': 'server/spool',
  'src/prediction-log/spool/': 'prediction-log/spool/spool',
  'src/process/': 'server/start',
  'src/process/shutdown.ts': 'server/shutdown',
  'src/process/workers.ts': 'faults/process-death',
  'src/publishing/': 'publishing/publish',
  'src/registry/': 'registry/served-pipeline',
  'src/retraining/': 'server/schedule',
  'src/server.ts': 'server/start',
  'src/serving/': 'http/intervals-and-contributions',
  'src/serving/serving.ts': 'http/overload',
  'src/training/': 'training/training-data',
  'src/version-name.ts': 'http/pipelines',
  'src/within.ts': 'prediction-log/direct-writer',
};

describe('every source file', () => {
  const tests = filesIn('test').filter((file) => file.endsWith('.test.ts'));
  const imported = new Set(importsOf(textsOf(tests)).map(({ to }) => to));
  const untested = files.filter(
    (file) => !imported.has(file) && !tests.includes(file.replace(/^src/, 'test').replace(/\.ts$/, '.test.ts')),
  );
  /** The entry for the file itself, or for the nearest directory that has one. */
  const entryFor = (file: string) =>
    Object.keys(testedBy)
      .filter((path) => path === file || (path.endsWith('/') && file.startsWith(path)))
      .sort((a, b) => b.length - a.length)[0];

  test('has a test of its own, is imported by one, or stands in the list with the test that reaches it', () => {
    expect(untested.filter((file) => !entryFor(file))).toEqual([]);
  });

  test('that stands in the list needs it, and the test is there', () => {
    expect(Object.keys(testedBy).filter((path) => !untested.map(entryFor).includes(path))).toEqual([]);
    expect(Object.values(testedBy).filter((name) => !tests.includes(`test/${name}.test.ts`))).toEqual([]);
  });
});

describe('the stories of docs/architecture.md', () => {
  const document = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const section = (title: string) => document.split(`\n## ${title}\n`)[1]!.split('\n## ')[0]!;
  /** What stands between backquotes in each row of the section's table: the room, then its files. */
  const rowsOf = (title: string) =>
    [...section(title).matchAll(/^\| `([\w-]+)` \| (.*?) \|/gm)].map(([, room, names]) => ({
      room: room!,
      files: [...names!.matchAll(/`([\w./-]+\.ts)`/g)].map(([, file]) => `src/${room}/${file}`),
    }));
  const knows = (from: string, to: string) =>
    imports.some((one) => one.from.startsWith(`src/${from}/`) && one.to.startsWith(`src/${to}/`));

  test('a request goes through at most five rooms, each once, and its files are there', () => {
    const rows = rowsOf('A request');
    const rooms = rows.map(({ room }) => room);
    expect(rooms).toEqual(['http', 'serving', 'inference', 'prediction-log']);
    expect(new Set(rooms).size).toBe(rooms.length);
    for (const { files: named } of rows) {
      expect(named.length).toBeGreaterThan(0);
      for (const file of named) expect(files).toContain(file);
    }
  });

  test('a request crosses from http to serving, and from there to what runs and what stores', () => {
    expect(knows('http', 'serving')).toBe(true);
    expect(knows('serving', 'inference')).toBe(true);
    expect(knows('serving', 'prediction-log')).toBe(true);
    expect(knows('http', 'inference')).toBe(false);
    expect(knows('http', 'prediction-log')).toBe(false);
    // Nothing on the way asks the database, or which version should be served.
    for (const room of ['http', 'serving', 'inference']) {
      expect(knows(room, 'database')).toBe(false);
      expect(knows(room, 'registry')).toBe(false);
    }
  });

  test('a record goes from the spool by way of the relay to Postgres, and no storey knows the one behind it', () => {
    expect(section('A record')).toContain('spool ─ relay ─ postgres');
    const storeys = ['spool', 'relay', 'postgres'].map((storey) => `prediction-log/${storey}`);
    const [spool, relay, postgres] = storeys as [string, string, string];
    expect(knows(relay, spool)).toBe(true);
    for (const [from, to] of [
      [spool, relay],
      [spool, postgres],
      [postgres, spool],
      [postgres, relay],
    ] as const) {
      expect(knows(from, to)).toBe(false);
    }
  });

  test('a version goes from training to the registry, which is handed what loads it', () => {
    expect(section('A version')).toContain('training ─ registry ─ inference');
    expect(knows('training', 'registry')).toBe(true);
    expect(knows('registry', 'training')).toBe(false);
    expect(knows('registry', 'inference')).toBe(false);
  });
});
