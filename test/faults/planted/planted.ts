/** How a fault gets into the real process without a line in src/: a module that Node loads before the service. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export type Planted =
  | 'throw-on-signal'
  | 'failing-disk'
  | 'skipped-write'
  | 'forgotten-batch'
  | 'twice-stored'
  | 'names-gone'
  | 'synced-bytes'
  | 'sync-elsewhere'
  | 'cut-dead-letter'
  | 'forgotten-segment';

/** The setting that loads them, the last one over those before it. */
export function plant(...names: Planted[]): { NODE_OPTIONS: string } {
  const imports = names.map((name) => `--import=${pathToFileURL(join(import.meta.dirname, `${name}.mjs`)).href}`);
  return { NODE_OPTIONS: imports.join(' ') };
}
