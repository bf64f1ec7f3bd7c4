/** Asks the database whether it can be reached and written, for /health: one question at a time, its answer good for a second. */
import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from '../errors.ts';
import { within } from '../within.ts';
import type { Pool } from './pool.ts';

const GOOD_FOR_MS = 1_000;
const TIMEOUT_MS = 1_000;

/** A connection on which it is not answered in time is given up: it may be dead, and the database well. */
const question = {
  text: "select current_setting('transaction_read_only') as read_only",
  query_timeout: TIMEOUT_MS,
};

/** Resolves with why it cannot, or null when it can. */
export type Probe = () => Promise<string | null>;

export function createProbe(pool: Pool): Probe {
  let answer: ReturnType<Probe> | undefined;
  // A question that waits for a connection is not repeated: repeated, it would take up all of the pool.
  async function ask(): ReturnType<Probe> {
    const asked = pool
      .query(question)
      .then(({ rows }) => (rows[0].read_only === 'off' ? null : 'it is read-only'), reasonOf);
    void asked
      .then(() => delay(GOOD_FOR_MS, undefined, { ref: false }))
      .then(() => {
        answer = undefined;
      });
    return await within(TIMEOUT_MS, asked, () => `it does not answer within ${TIMEOUT_MS / 1000} s`);
  }
  return () => {
    answer ??= ask();
    return answer;
  };
}
