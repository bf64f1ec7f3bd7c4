/** Asks the database whether it can be written, for /health: one question at a time, its answer good for a second. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from './pool.ts';

const GOOD_FOR_MS = 1_000;
const PATIENCE_MS = 1_000;

export function createProbe(pool: Pool): () => Promise<boolean> {
  let answer: Promise<boolean> | undefined;
  // A question that hangs is waited for, not repeated: repeated, it would take up every connection of the pool.
  async function ask(): Promise<boolean> {
    const asked = pool.query("select current_setting('transaction_read_only') as read_only").then(
      ({ rows }) => rows[0].read_only === 'off',
      () => false,
    );
    void asked
      .then(() => delay(GOOD_FOR_MS, undefined, { ref: false }))
      .then(() => {
        answer = undefined;
      });
    return await Promise.race([asked, delay(PATIENCE_MS, false, { ref: false })]);
  }
  return () => {
    answer ??= ask();
    return answer;
  };
}
