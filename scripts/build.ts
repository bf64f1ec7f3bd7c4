/**
 * npm run build: makes dist/ of src/ and scripts/, one file for each command with the libraries it needs, and what
 * commands share in dist/shared/, so that a start does not load each module by itself (decision 0010). Types are checked
 * by `npm run check`, not here.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { projectRoot } from '../src/project-root.ts';
import { fingerprintCode } from '../src/training/code-fingerprint.ts';

const DIRECTORY = join(projectRoot, 'dist');

/** Not bundled: native code, packages that read files of their own, and what is not installed at all. */
const LEFT_OUT = ['onnxruntime-node', 'fs-native-extensions', '@fastify/swagger-ui', 'node-pg-migrate', 'pg-native'];

const { outputFiles } = await build({
  absWorkingDir: projectRoot,
  entryPoints: [
    'src/server.ts',
    'scripts/challengers.ts',
    'scripts/demo.ts',
    'scripts/features.ts',
    'scripts/migrate.ts',
    'scripts/pipelines.ts',
    'scripts/schedule.ts',
    'scripts/labels.ts',
    'scripts/spool.ts',
    'scripts/train.ts',
  ],
  outdir: DIRECTORY,
  outbase: projectRoot,
  chunkNames: 'shared/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: 'linked',
  // Writes constants where they are used: the row reader compares each byte with some (1,000 rows in 0.45 ms, not 0.51).
  minifySyntax: true,
  external: LEFT_OUT,
  // Libraries in CommonJS ask for Node's modules by `require`, which an ES module does not have.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
  define: { BUILT_CODE_SHA256: JSON.stringify(fingerprintCode()) },
  logLevel: 'warning',
  write: false,
}).catch(() => process.exit(1)); // It has said why.

// A service may be running from these files and load some only later: unchanged files are left alone, and each of the
// others is replaced in one step.
const stale = new Set(
  await readdir(DIRECTORY, { recursive: true, withFileTypes: true }).then(
    (entries) =>
      entries
        .filter((entry) => entry.isFile() && !entry.name.endsWith('.new'))
        .map(({ parentPath, name }) => join(parentPath, name)),
    () => [],
  ),
);
for (const { path, contents } of outputFiles) {
  if (stale.delete(path) && (await readFile(path)).equals(contents)) continue;
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.new`;
  await writeFile(temporary, contents);
  await rename(temporary, path);
}
for (const path of stale) await rm(path, { force: true });
