/**
 * Artefacts as files: `pipeline_<version>.onnx` with a manifest `pipeline_<version>.json` beside it. The database row is
 * the original; the files let a server start while the database is away. `last_served.json` names the version that a
 * server has served last, so that a roll back survives a restart without the database.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { GoldenRows } from '../contract/rows.ts';
import { RidgelineError } from '../errors.ts';
import { MAX_ARTEFACT_BYTES } from '../onnx/fence.ts';
import type { PipelineArtefact } from './pipeline-versions.ts';

interface Manifest {
  pipeline_version: string;
  sha256: string;
  golden_rows: GoldenRows;
  /** These are absent in those written before versions had them. */
  declaration?: unknown;
  residuals?: unknown;
  explanation?: unknown;
}

const LAST_SERVED = 'last_served.json';
/** As `writeFiles` names them; anything else in the directory is not ours to remove. */
const OWN_FILE = /^pipeline_(\d{4}_\d\d_\d\d__\d\d_\d\d_\d\d)\.(?:json|onnx)$/;
/** Beside the one that is served. */
const NEWEST_KEPT = 5;
/** Versions on disk that are looked at: the one served last, and more others than can all be damaged by chance. */
const MAX_VERSIONS = 20;
/** Far more than a manifest with the golden rows of any pipeline. */
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Throws `bad_artefact` when the bytes are not those that were published: ONNX itself carries no checksum. */
export function checkSha256({ artefact, sha256, pipelineVersion }: PipelineArtefact): void {
  const found = sha256Of(artefact);
  if (found !== sha256) {
    throw new RidgelineError('bad_artefact', {
      detail: `The bytes of ${pipelineVersion} have SHA-256 ${found}; ${sha256} was published. Publish a new version.`,
    });
  }
}

/** Writes the files of a version that was promoted, and removes those of old ones. Returns the artefact's path. */
export async function writeArtefact(modelsDir: string, pipeline: PipelineArtefact): Promise<string> {
  const path = await writeFiles(modelsDir, pipeline);
  const lastServed = await readLastServed(modelsDir);
  await removeOldFiles(modelsDir, new Set([pipeline.pipelineVersion, lastServed]));
  return path;
}

/** Writes the files of the version that is served, with its name, and removes those of old ones. */
export async function rememberServed(modelsDir: string, pipeline: PipelineArtefact): Promise<void> {
  const { pipelineVersion } = pipeline;
  await writeFiles(modelsDir, pipeline);
  await writeAtomically(join(modelsDir, LAST_SERVED), JSON.stringify({ pipeline_version: pipelineVersion }));
  await removeOldFiles(modelsDir, new Set([pipelineVersion]));
}

/** The artefact, then its manifest: a manifest that exists describes a whole file. */
async function writeFiles(modelsDir: string, pipeline: PipelineArtefact): Promise<string> {
  const { pipelineVersion, artefact, sha256, goldenRows, declaration, residuals, explanation } = pipeline;
  await mkdir(modelsDir, { recursive: true });
  const path = join(modelsDir, `pipeline_${pipelineVersion}.onnx`);
  await writeAtomically(path, artefact);
  const manifest: Manifest = {
    ...{ pipeline_version: pipelineVersion, sha256, golden_rows: goldenRows },
    ...{ declaration, residuals, explanation },
  };
  await writeAtomically(join(modelsDir, `pipeline_${pipelineVersion}.json`), JSON.stringify(manifest));
  return path;
}

/** Leaves those to be kept and the newest ones. What cannot be removed is tried again with the next version. */
async function removeOldFiles(modelsDir: string, kept: ReadonlySet<string | undefined>): Promise<void> {
  const files = await readdir(modelsDir).catch(() => []);
  const versions = new Set(files.flatMap((file) => OWN_FILE.exec(file)?.[1] ?? []));
  const old = [...versions]
    .sort()
    .slice(0, -NEWEST_KEPT)
    .filter((version) => !kept.has(version));
  for (const version of old) {
    // The manifest first, as it says that there is a whole file.
    for (const ending of ['json', 'onnx']) {
      await rm(join(modelsDir, `pipeline_${version}.${ending}`), { force: true }).catch(() => undefined);
    }
  }
}

async function readLastServed(modelsDir: string): Promise<string | undefined> {
  const pointer = await readBounded(join(modelsDir, LAST_SERVED), MAX_MANIFEST_BYTES).catch(() => undefined);
  return pointer && parsed<{ pipeline_version: string }>(pointer)?.pipeline_version;
}

/**
 * The versions on disk, best first: the one served last, then others, newest first. Only the name of the first is read;
 * `read` fetches the bytes, unchecked, and throws for a manifest or a file that cannot be taken.
 */
export async function versionsOnDisk(
  modelsDir: string,
): Promise<{ pipelineVersion: string; read: () => Promise<PipelineArtefact> }[]> {
  const files = await readdir(modelsDir).catch(() => []);
  const lastServed = await readLastServed(modelsDir);
  const versions = files
    .flatMap((file) => /^pipeline_(.+)\.json$/.exec(file)?.[1] ?? [])
    .sort((a, b) => Number(b === lastServed) - Number(a === lastServed) || b.localeCompare(a));
  return versions.slice(0, MAX_VERSIONS).map((pipelineVersion) => ({
    pipelineVersion,
    async read() {
      const manifestPath = join(modelsDir, `pipeline_${pipelineVersion}.json`);
      const manifest = parsed<Manifest>(await readBounded(manifestPath, MAX_MANIFEST_BYTES));
      if (!manifest?.sha256 || !manifest.golden_rows) {
        throw new RidgelineError('bad_artefact', { detail: `The manifest of ${pipelineVersion} is damaged.` });
      }
      const artefact = await readBounded(join(modelsDir, `pipeline_${pipelineVersion}.onnx`), MAX_ARTEFACT_BYTES);
      const { sha256, golden_rows: goldenRows, declaration = null, residuals = null, explanation = null } = manifest;
      return { pipelineVersion, artefact, sha256, goldenRows, declaration, residuals, explanation };
    },
  }));
}

function parsed<Content>(json: Buffer): Content | undefined {
  try {
    return JSON.parse(json.toString('utf8')) as Content;
  } catch {
    return undefined;
  }
}

/** Bounded, as anything may lie in the directory: a pipe would never end, and a huge file would fill the memory. */
async function readBounded(path: string, maxBytes: number): Promise<Buffer> {
  const found = await stat(path);
  if (found.isFile() && found.size <= maxBytes) return await readFile(path);
  const problem = found.isFile() ? `has ${found.size} bytes; more than ${maxBytes} are not taken` : 'is not a file';
  throw new RidgelineError('bad_artefact', { detail: `${basename(path)} ${problem}.` });
}

/** Readers see the old file or the whole new one, after a crash too. */
async function writeAtomically(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(content);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
