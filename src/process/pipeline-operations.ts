/** What operators do with versions over HTTP: the functions of the commands, with the database of this process. */
import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import { type Pool, transaction } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import type { PipelineOperations } from '../http/routes/pipelines.ts';
import { promoteVersion, resume, rollBack } from '../publishing/promote.ts';
import { findVersion, listVersions } from '../registry/version-catalogue.ts';
import { isVersionName } from '../version-name.ts';
import { usable } from './usable-database.ts';

export interface PipelineOperationsOptions {
  pool: Pool;
  clock: Clock;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
}

export function createPipelineOperations({ pool, clock, shipped }: PipelineOperationsOptions): PipelineOperations {
  const how = () => ({
    transaction: <Result>(work: Parameters<typeof transaction<Result>>[1]) => transaction(pool, work),
    shipped,
    promotedBy: 'http',
    now: clock.now(),
  });
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
        return await promoteVersion(version, { ...how(), ...asked });
      }),
    rollBack: (asked) => usable(() => rollBack({ ...how(), ...asked })),
    resume: (asked) => usable(() => resume({ ...how(), ...asked })),
  };
}
