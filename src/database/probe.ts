/** Asks the database whether it answers, for /health: at most one question at a time, its answer good for a second. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from './pool.ts';

const GOOD_FOR_MS = 1_000;
const PATIENCE_MS = 1_000;

export function createProbe(pool: Pool): () => Promise<boolean> {
  let asked = 0;
  let answer: Promise<boolean> = Promise.resolve(false);
  return () => {
    if (Date.now() - asked >= GOOD_FOR_MS) {
      asked = Date.now();
      answer = Promise.race([
        pool.query('select 1').then(
          () => true,
          () => false,
        ),
        delay(PATIENCE_MS, false, { ref: false }),
      ]);
    }
    return answer;
  };
}
