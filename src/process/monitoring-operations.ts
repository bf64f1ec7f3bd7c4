/** What operators ask of monitoring over HTTP. */
import type { Clock } from '../clock.ts';
import type { Pool } from '../database/pool.ts';
import type { MonitoringOperations } from '../http/routes/monitoring.ts';
import { readQuality } from '../monitoring/quality-report.ts';
import { usable } from './usable-database.ts';

export function createMonitoringOperations({ pool, clock }: { pool: Pool; clock: Clock }): MonitoringOperations {
  return { quality: (days) => usable(() => readQuality(pool, { now: clock.now(), days })) };
}
