/** A features file that people have written, or printed with `npm run features` and corrected. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseDeclaration } from '../contract/declaration.ts';
import type { Declaration } from '../contract/features-schema.ts';
import { RidgelineError, reasonOf, tellable } from '../errors.ts';

/** As editors on Windows write it. */
const BYTE_ORDER_MARK = /^\ufeff/;
/** What npm prints before the output of a command, unless it is run with --silent. */
const LINES_OF_NPM = /^\s*(?:> .*\n)+/;

/** Throws `declaration` for a file that cannot be read, or that is no declaration. */
export async function readFeaturesFile(path: string): Promise<Declaration> {
  const json = await readJson(path);
  try {
    return parseDeclaration(json);
  } catch (error) {
    throw new RidgelineError('declaration', { detail: `${path}: ${tellable(error)}`, cause: error });
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    const text = await readFile(path, 'utf8');
    return JSON.parse(text.replace(BYTE_ORDER_MARK, '').replace(LINES_OF_NPM, ''));
  } catch (error) {
    const isOfSystem = (error as NodeJS.ErrnoException).syscall !== undefined;
    const shown = isOfSystem ? resolve(path) : path;
    const detail = `${shown} cannot be read: ${reasonOf(error)}. It has to be JSON, as npm run features prints it.`;
    throw new RidgelineError('declaration', { detail, cause: error });
  }
}
