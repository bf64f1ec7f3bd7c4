/** What operators do with versions over HTTP: the functions of the commands, with the database of this process. */
import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import { isUnavailable } from '../database/connection-failure.ts';
import { type Pool, transaction } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import type { PipelineOperations } from '../http/routes/pipelines.ts';
import { promoteVersion, resume, rollBack } from '../publishing/promote.ts';
import { findVersion, listVersions } from '../registry/version-catalogue.ts';
import { isVersionName } from '../version-name.ts';

export interface PipelineOperationsOptions {
  pool: Pool;
  clock: Clock;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
}

export function createPipelineOperations({ pool, clock, shipped }: PipelineOperationsOptions): PipelineOperations {
  const how = {
    transaction: <Result>(work: Parameters<typeof transaction<Result>>[1]) => transaction(pool, work),
    shipped,
    promotedBy: 'http',
  };
  const { declaration } = shipped;
  return {
    list: (page) => usable(() => listVersions(pool, { ...page, now: clock.now() })),
    show: (version) =>
      usable(async () => {
        if (!isVersionName(version)) return undefined;
        return await findVersion(pool, version, { shipped: declaration, now: clock.now() });
      }),
    promote: (version, asked) =>
      usable(async () => {
        if (!isVersionName(version)) throw new RidgelineError('unknown_version');
        return await promoteVersion(version, { ...how, ...asked });
      }),
    rollBack: (asked) => usable(() => rollBack({ ...how, ...asked })),
    resume: (asked) => usable(() => resume({ ...how, ...asked })),
  };
}

/** Errors of the database, and of its set-up, are told by /health; what is wrong with a version is told here. */
async function usable<Result>(work: () => Promise<Result>): Promise<Result> {
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
