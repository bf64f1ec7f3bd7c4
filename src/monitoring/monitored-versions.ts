/** What is known of the versions that monitoring meets in one pass, each read once. */
import type { Contract } from '../contract/contract.ts';
import type { Queryable } from '../database/pool.ts';
import { type MonitoredVersion, readMonitoredVersion } from '../registry/monitored-versions.ts';

export type MonitoredVersions = (pipelineVersion: string) => Promise<MonitoredVersion | undefined>;

export function createMonitoredVersions(client: Queryable, shipped: Contract): MonitoredVersions {
  const known = new Map<string, Promise<MonitoredVersion | undefined>>();
  return (pipelineVersion) => {
    const found = known.get(pipelineVersion) ?? readMonitoredVersion(client, pipelineVersion, shipped);
    known.set(pipelineVersion, found);
    return found;
  };
}
