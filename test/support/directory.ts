/** A new temporary directory that other accounts may enter: as root, the embedded PostgreSQL runs as one of them. */
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export async function makeDirectory(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `ridgeline-${name}-`));
  await chmod(directory, 0o755);
  return directory;
}
