/** Has challengers judged in a child process when there is something to judge: asked every minute, it hardly ever has. */
import type { Clock } from '../clock.ts';
import type { Pool } from '../database/pool.ts';
import { describeGate } from '../gate/sentence.ts';
import type { Log } from '../log.ts';
import type { JobCounts } from '../metrics/job-counts.ts';
import { createOutage } from '../outage.ts';
import type { GateEntry } from '../registry/gate-decisions.ts';
import { isShadowDue } from './challengers.ts';
import { runScript } from './child-script.ts';

export interface ShadowOptions {
  pool: Pool;
  clock: Clock;
  /** Whether what is proven better takes over; divergences are measured all the same. */
  promotes: boolean;
  /** Aborting it ends the child. */
  signal: AbortSignal;
  jobs: Pick<JobCounts, 'ran'>;
  log: Log;
}

const TIME_LIMIT_MS = 15 * 60_000;
/** After a run that has judged nothing: rows that repeat others count once, so that it may be too early. */
const PAUSE_MS = 15 * 60_000;

/** The returned function does what is due, if anything. It rejects where the database cannot be used. */
export function createShadow({ pool, clock, promotes, signal, jobs, log }: ShadowOptions): () => Promise<void> {
  let notBefore = 0;
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'challengers cannot be judged; it is tried again every 15 minutes',
    ends: 'challengers are judged again',
  });

  async function judge(): Promise<GateEntry[]> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(TIME_LIMIT_MS)]);
    return JSON.parse(await runScript('challengers', [], limit)) as GateEntry[];
  }

  return async () => {
    const now = clock.now();
    if (now.getTime() < notBefore || !(await isShadowDue({ pool, now, promotes }))) return;
    notBefore = now.getTime() + PAUSE_MS;
    try {
      const judged = await judge();
      if (judged.length > 0) notBefore = 0;
      for (const gate of judged) {
        const { pipeline_version: version, decision } = gate;
        log.info({ version, decision, detail: describeGate(gate) }, 'a challenger was judged');
      }
      jobs.ran('challengers', { doneAt: clock.now() });
      outage.end();
    } catch (error) {
      if (signal.aborted) return;
      jobs.ran('challengers', 'failed');
      outage.begin(error);
    }
  };
}
