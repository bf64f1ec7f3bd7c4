/** How a fault gets into the real process without a line in src/: a module that Node loads before the service. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export type Planted =
  | 'throw-on-signal'
  | 'failing-disk'
  | 'skipped-write'
  | 'forgotten-batch'
  | 'twice-stored'
  | 'names-gone';

/** The setting that loads it. */
export function plant(name: Planted): { NODE_OPTIONS: string } {
  return { NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, `${name}.mjs`)).href}` };
}
