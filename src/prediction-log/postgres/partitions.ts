/** Keeps partitions of `predictions` ready for the months to come. A month that is missing costs no row: it has a default. */
import type { Pool } from '../../database/pool.ts';

const MONTHS_AHEAD = 3;
const EVERY_MS = 6 * 60 * 60_000;

/** Looks a few times a day; the migrations have looked at the start. What fails, such as while the database is away, is tried the next time. */
export function startPartitionUpkeep(
  pool: Pool,
  log: { warn(fields: object, message: string): void },
): { close: () => void } {
  const ensure = () =>
    pool
      .query('select ensure_predictions_partitions($1)', [MONTHS_AHEAD])
      .catch((err: unknown) => log.warn({ err }, 'partitions of predictions could not be looked after'));
  const timer = setInterval(() => void ensure(), EVERY_MS);
  timer.unref();
  return { close: () => clearInterval(timer) };
}
