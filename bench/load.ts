/**
 * Two kinds of callers. In the closed loop each connection asks again once it is answered: it finds the most that a
 * server can do. In the open loop requests fall due at a constant rate whatever the answers take, and latency counts from
 * the moment a request fell due: it finds what callers feel who do not wait for each other.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Connection, type HttpAnswer, openConnection } from './http-client.ts';
import type { Request } from './requests.ts';
import type { Target } from './targets.ts';

export interface LoadResult {
  /** Answers a second, with status 200 and within the time. */
  rate: number;
  /** From asking, or from falling due, to the whole answer; sorted, in milliseconds. */
  latencies: Float64Array;
  /** Answers 503 that say when to come back. */
  refusals: number;
  /** Requests that fell due when no connection was free, under overload. */
  notSent: number;
  /** How late requests were sent though a connection was free: what the load generator adds itself. Sorted, ms. */
  lateness: Float64Array;
}

export interface LoadOptions {
  connections: number;
  seconds: number;
}

export async function closedLoop(
  target: Target,
  requests: readonly Request[],
  { connections, seconds, limit = Number.POSITIVE_INFINITY }: LoadOptions & { limit?: number },
): Promise<LoadResult> {
  const score = keepScore(target, seconds, false);
  let sent = 0;
  // By callbacks, because a promise an answer is a good part of what a request costs here.
  function askOn(connection: Connection, done: () => void, fail: (error: unknown) => void): void {
    const askedAt = performance.now();
    if (askedAt >= score.until || sent >= limit) {
      done();
      return;
    }
    const request = requests[sent++ % requests.length]!;
    const onAnswer = (answer: HttpAnswer) => {
      const problem = score.add(request, answer, askedAt);
      if (problem) fail(problem);
      else askOn(connection, done, fail);
    };
    connection.send(request.bytes, onAnswer, fail);
  }
  return await withConnections(target, connections, async (open) => {
    await Promise.all(open.map((connection) => new Promise<void>((done, fail) => askOn(connection, done, fail))));
    return score.result();
  });
}

export interface OpenLoopOptions extends LoadOptions {
  /** Requests a second. */
  rate: number;
  /** Takes a 503 with Retry-After for an answer, and drops what finds no free connection instead of letting it wait. */
  overload?: boolean;
}

export async function openLoop(
  target: Target,
  requests: readonly Request[],
  { rate, seconds, connections, overload = false }: OpenLoopOptions,
): Promise<LoadResult> {
  return await withConnections(target, connections, async (open) => {
    const score = keepScore(target, seconds, overload);
    const free = [...open];
    const waiting: number[] = [];
    let sent = 0;
    let problem: unknown;

    /** Asks on a connection, and goes on there with what waits for one. */
    function ask(connection: Connection, dueAt: number): void {
      const request = requests[sent++ % requests.length]!;
      const onAnswer = (answer: HttpAnswer) => {
        problem ??= score.add(request, answer, dueAt);
        const next = waiting.shift();
        if (next === undefined) free.push(connection);
        else ask(connection, next);
      };
      connection.send(request.bytes, onAnswer, (error) => {
        problem ??= error;
      });
    }

    const startedAt = performance.now();
    let due = 0;
    for (let now = startedAt; now < score.until && !problem; now = performance.now()) {
      for (; startedAt + (due * 1000) / rate <= now; due++) {
        const dueAt = startedAt + (due * 1000) / rate;
        if (free.length > 0) {
          score.late(now - dueAt);
          // In turns, so that none is idle for so long that the service closes it.
          ask(free.shift()!, dueAt);
        } else if (overload) score.notSent();
        else waiting.push(dueAt);
      }
      rest(startedAt + (due * 1000) / rate - performance.now());
      await nextTurn();
    }
    while (!problem && free.length < open.length) await nextTurn();
    if (problem) throw problem;
    return score.result();
  });
}

async function withConnections<Result>(
  { url }: Target,
  count: number,
  work: (open: Connection[]) => Promise<Result>,
): Promise<Result> {
  const open = await Promise.all(Array.from({ length: count }, () => openConnection(url)));
  try {
    return await work(open);
  } finally {
    for (const connection of open) connection.close();
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));
/** An answer that has come meanwhile is seen this much later at most, in milliseconds. */
const LONGEST_REST_MS = 0.05;

/** Sleeps until shortly before the next request. A timer counts in milliseconds, and to spin would starve PostgreSQL. */
function rest(milliseconds: number): void {
  if (milliseconds > 0.02) Atomics.wait(sleeper, 0, 0, Math.min(milliseconds - 0.01, LONGEST_REST_MS));
}

/** Parsing every answer would make the load generator the slowest part, so each status and every so many values. */
const CHECK_EVERY = 61;

function keepScore(target: Target, seconds: number, refusable: boolean) {
  const latencies: number[] = [];
  const lateness: number[] = [];
  let refusals = 0;
  let notSent = 0;
  let answered = 0;
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  const sorted = (values: number[]) => Float64Array.from(values).sort();
  return {
    until,
    notSent: () => {
      notSent++;
    },
    late: (milliseconds: number) => lateness.push(milliseconds),
    /** Returns what is wrong with an answer, if anything is. */
    add({ houses }: Request, { status, head, body }: HttpAnswer, since: number): Error | undefined {
      const now = performance.now();
      if (refusable && status === 503 && /\r\nretry-after: *\d/i.test(head())) {
        refusals++;
        return undefined;
      }
      if (status !== 200) return new Error(`${target.name} answered ${status}: ${body().slice(0, 300)}`);
      target.answeredRows += houses.length;
      if (answered++ % CHECK_EVERY === 0 && !target.check(body(), houses)) {
        return new Error(`${target.name} answered wrongly about house ${houses[0]}: ${body().slice(0, 300)}`);
      }
      if (now <= until) latencies.push(now - since);
      return undefined;
    },
    result(): LoadResult {
      const elapsed = Math.min(seconds, (performance.now() - startedAt) / 1000);
      const rate = latencies.length / elapsed;
      return { rate, latencies: sorted(latencies), refusals, notSent, lateness: sorted(lateness) };
    },
  };
}
