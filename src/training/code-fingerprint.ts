/** Which code has trained a version. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../project-root.ts';

/** Defined by scripts/build.ts, as what is built may run where the sources are not. */
declare const BUILT_CODE_SHA256: string | undefined;

/** The directories whose files decide what a training makes. */
const DIRECTORIES = ['contract', 'estimators', 'onnx', 'training'];

/** SHA-256 over the names and contents of those files, the same for the sources and for what was built from them. */
export function fingerprintCode(): string {
  if (typeof BUILT_CODE_SHA256 === 'string') return BUILT_CODE_SHA256;
  const hash = createHash('sha256');
  for (const name of DIRECTORIES) {
    const directory = join(projectRoot, 'src', name);
    for (const file of readdirSync(directory).sort()) hash.update(file).update(readFileSync(join(directory, file)));
  }
  return hash.digest('hex');
}
