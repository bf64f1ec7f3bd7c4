/** New temporary directories that other accounts may enter: as root, the embedded PostgreSQL runs as one of them. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export async function makeDirectory(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `ridgeline-${name}-`));
  await chmod(directory, 0o755);
  return directory;
}

/** DATA_DIR and MODELS_DIR of a server, neither of which is there yet. */
export interface ServerDirectories {
  dataDir: string;
  modelsDir: string;
  remove(): Promise<void>;
}

export async function makeDirectories(): Promise<ServerDirectories> {
  const root = await makeDirectory('server');
  return {
    dataDir: join(root, 'data'),
    modelsDir: join(root, 'models'),
    remove: () => rm(root, { recursive: true, force: true }),
  };
}
