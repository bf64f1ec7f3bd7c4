/** Those who ask the service for predictions, and tell it what houses were sold for one or two days later. */
import { setTimeout as delay } from 'node:timers/promises';
import type { SimulatedClock } from '../src/clock.ts';
import type { Pool } from '../src/database/pool.ts';
import { servedVersion } from '../src/registry/promotions.ts';
import type { World } from './demo-world.ts';

export interface CallersOptions {
  url: string;
  clock: SimulatedClock;
  world: World;
}

interface Truth {
  prediction_id: string;
  actual: number;
  observed_at: string;
}

const HOUR_MS = 3_600_000;
/** Of 1: other houses are not sold. */
const SHARE_SOLD = 0.7;
const MOST_AT_ONCE = 1_000;
const LOOK_EVERY_MS = 5;
const LONGEST_WAIT_MS = 20_000;

export function createCallers({ url, clock, world }: CallersOptions) {
  let answered = 0;
  let truths = 0;
  /** By the hour in which they are told. */
  const due = new Map<number, Truth[]>();

  async function send<Answer>(path: string, body?: object): Promise<Answer> {
    const response = await fetch(url + path, {
      ...(body && { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    if (!response.ok) throw new Error(`${path} answers ${response.status}: ${await response.text()}`);
    return (await response.json()) as Answer;
  }

  async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
    for (const started = performance.now(); !(await isSo()); await delay(LOOK_EVERY_MS)) {
      if (performance.now() - started > LONGEST_WAIT_MS) throw new Error(`${what} for 20 s.`);
    }
  }

  return {
    /** Asks about so many houses in one request. */
    async ask(houses: number): Promise<void> {
      const now = clock.now();
      const asked = Array.from({ length: houses }, () => world.house(now));
      const { prediction_ids: ids } = await send<{ prediction_ids: string[] }>('/predict/batch', {
        instances: asked.map(({ row }) => row),
      });
      answered += ids.length;
      for (const [i, { price }] of asked.entries()) {
        if (!world.chance(SHARE_SOLD)) continue;
        const hour = now.getTime() + world.between(4, 40) * HOUR_MS;
        const truth = { prediction_id: ids[i]!, actual: price, observed_at: new Date(hour).toISOString() };
        due.set(hour, [...(due.get(hour) ?? []), truth]);
      }
    },

    /** A label may come before its prediction is there, but nobody could follow the story. */
    async waitUntilStored(): Promise<void> {
      const isStored = async () => (await send<{ backlog: { rows: number } }>('/health')).backlog.rows === 0;
      await until(isStored, 'Predictions have waited');
    },

    async tellTruths(): Promise<void> {
      const now = clock.now().getTime();
      const told = due.get(now) ?? [];
      due.delete(now);
      for (let start = 0; start < told.length; start += MOST_AT_ONCE) {
        await send('/ground-truth/batch', { instances: told.slice(start, start + MOST_AT_ONCE) });
      }
      truths += told.length;
    },

    /** The service swaps by itself, within a second of the world outside. */
    async waitUntilServed(pool: Pool): Promise<void> {
      const version = await servedVersion(pool);
      const isServed = async () => (await send<{ model_version: string }>('/health')).model_version === version;
      await until(isServed, `${version} was not served`);
    },

    counts: () => ({ answered, truths }),
  };
}
