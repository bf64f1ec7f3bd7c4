import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory that holds package.json, whether this file runs from src/ or from dist/. */
export const projectRoot = find(dirname(fileURLToPath(import.meta.url)));

function find(directory: string): string {
  return existsSync(join(directory, 'package.json')) ? directory : find(dirname(directory));
}
