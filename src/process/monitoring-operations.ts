/** What operators ask of monitoring over HTTP. */
import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import type { Pool } from '../database/pool.ts';
import type { MonitoringOperations } from '../http/routes/monitoring.ts';
import { readDrift } from '../monitoring/drift-report.ts';
import { readQuality } from '../monitoring/quality-report.ts';
import { usable } from './usable-database.ts';

export interface MonitoringOperationsOptions {
  pool: Pool;
  clock: Clock;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
}

export function createMonitoringOperations({
  pool,
  clock,
  shipped,
}: MonitoringOperationsOptions): MonitoringOperations {
  return {
    quality: (days) => usable(() => readQuality(pool, { now: clock.now(), days })),
    drift: () => usable(() => readDrift(pool, { now: clock.now(), shipped })),
  };
}
