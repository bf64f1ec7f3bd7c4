/**
 * What /metrics and /health say of monitoring: read from the database now and then, so that neither waits for it. While it is
 * away the last figures stay for a while; older ones would be taken for what is so now.
 */
import type { Clock } from '../clock.ts';
import type { Contract } from '../contract/contract.ts';
import type { Pool } from '../database/pool.ts';
import type { Samples } from '../metrics/samples.ts';
import { type NamedAlarm, readAlarms } from '../monitoring/alarms.ts';
import { type DriftReport, readDrift } from '../monitoring/drift-report.ts';
import { type QualityReport, readQuality } from '../monitoring/quality-report.ts';

export interface MonitoringWatch {
  samples(): Samples;
  /** Pending and firing ones. */
  alarms(): { subject: string; state: 'pending' | 'firing'; since: string }[];
  close(): void;
}

const EVERY_MS = 30_000;
const KEPT_MS = 10 * 60_000;
/** Of predictions that the gauges are about. */
const DAYS = 7;

interface Figures {
  quality: QualityReport;
  drift: DriftReport;
  alarms: NamedAlarm[];
}

export interface MonitoringWatchOptions {
  pool: Pool;
  clock: Clock;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
}

export function startMonitoringWatch({ pool, clock, shipped }: MonitoringWatchOptions): MonitoringWatch {
  let figures: Figures | undefined;
  let readAt = 0;

  async function look(): Promise<void> {
    const alarms = await readAlarms(pool);
    const now = clock.now();
    figures = {
      quality: await readQuality(pool, { now, days: DAYS }),
      drift: await readDrift(pool, { now, shipped }),
      alarms,
    };
    readAt = performance.now();
  }
  // That the database cannot be read is told elsewhere.
  const lookOrLeave = () => void look().catch(() => undefined);
  lookOrLeave();
  const timer = setInterval(lookOrLeave, EVERY_MS);
  timer.unref();
  const current = () => (performance.now() - readAt <= KEPT_MS ? figures : undefined);

  return {
    samples: () => samplesOf(current()),
    alarms: () =>
      (current()?.alarms ?? []).flatMap(({ subject, state, since }) =>
        state === 'ok' ? [] : { subject, state, since: since!.toISOString() },
      ),
    close: () => clearInterval(timer),
  };
}

function samplesOf(figures: Figures | undefined): Samples {
  const { versions } = figures?.quality ?? { versions: [] };
  const gauge = (pick: (version: (typeof versions)[number]) => number | null) =>
    versions.flatMap((version) => {
      const value = pick(version);
      return value === null ? [] : [[[version.version], value] as const];
    });
  return {
    ridgeline_quality_rmse: gauge(({ rmse }) => rmse),
    ridgeline_quality_rmse_lower: gauge(({ rmse_lower }) => rmse_lower),
    ridgeline_quality_rmse_upper: gauge(({ rmse_upper }) => rmse_upper),
    ridgeline_quality_bias: gauge(({ bias }) => bias),
    ridgeline_quality_labels: gauge(({ labels }) => labels),
    ridgeline_quality_label_share: gauge(({ label_share }) => label_share),
    ridgeline_quality_coverage: gauge(({ coverage }) => coverage?.share ?? null),
    ridgeline_drift_psi: (figures?.drift.versions ?? []).flatMap(({ version, prediction, features }) =>
      [prediction, ...features].flatMap(({ name, psi }) => (psi === null ? [] : [[[version, name], psi] as const])),
    ),
    ridgeline_alarm: (figures?.alarms ?? []).map(
      ({ subject, state }) => [[subject], Number(state === 'firing')] as const,
    ),
  };
}
