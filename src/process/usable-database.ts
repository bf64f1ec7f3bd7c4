/** What callers over HTTP are told where the database cannot be used. */
import { isUnavailable } from '../database/connection-failure.ts';
import { RidgelineError } from '../errors.ts';

/** Errors of the database, and of its set-up, are told by /health; what is wrong with a version is told here. */
export async function usable<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof RidgelineError) {
      if (cause.code === 'bad_artefact') throw new RidgelineError('version_rejected', { detail: cause.message, cause });
      if (cause.code !== 'database_setup') throw cause;
    } else if (!isUnavailable(cause) && !isOfPostgres(cause)) throw cause;
    throw new RidgelineError('database_unavailable', { cause });
  }
}

/** By its SQLSTATE: a table that is not there yet, or a right that is missing. */
function isOfPostgres(error: unknown): boolean {
  return /^[0-9A-Z]{5}$/.test((error as { code?: string } | undefined)?.code ?? '');
}
