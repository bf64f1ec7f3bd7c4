/**
 * Two kinds of callers. In the closed loop each connection asks again once it is answered: it finds the most that a
 * server can do. In the open loop questions fall due at a constant rate whatever the answers take, and an answer's
 * latency counts from the moment its question fell due: it finds what callers feel who do not wait for each other.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Connection, type HttpAnswer, openConnection } from './connection.ts';
import type { Question } from './questions.ts';
import type { Target } from './targets.ts';

export interface LoadResult {
  /** Answers with status 200 within the time. */
  answers: number;
  /** Rows in them. */
  rows: number;
  /** Seconds of the time. */
  seconds: number;
  /** From asking, or from falling due, to the whole answer of a 200; sorted, in milliseconds. */
  latencies: Float64Array;
  /** Answers with status 503 that say when to come back. */
  refusals: number;
  /** As `latencies`, of the refusals, from when they were sent. */
  refusalLatencies: Float64Array;
  /** Questions that fell due when no connection was free; only where they do not wait for one. */
  notSent: number;
  /** How late questions were sent though a connection was free: what the load generator adds itself. Sorted, ms. */
  lateness: Float64Array;
  /** The share of its core that the load generator used. */
  generatorShare: number;
}

export interface ClosedLoopOptions {
  connections: number;
  seconds?: number;
  /** Ends after so many questions, if that comes first. */
  questions?: number;
}

export async function closedLoop(
  target: Target,
  questions: readonly Question[],
  { connections, seconds = Number.POSITIVE_INFINITY, questions: limit = Number.POSITIVE_INFINITY }: ClosedLoopOptions,
): Promise<LoadResult> {
  const open = await openConnections(target, connections);
  const book = openBook(target, { seconds, refusable: false });
  let asked = 0;
  /** Asks again and again; by callbacks, because a promise an answer is a good part of what a request costs here. */
  function askOn(connection: Connection, done: () => void, failed: (error: unknown) => void): void {
    const askedAt = performance.now();
    if (askedAt >= book.until || asked >= limit) {
      done();
      return;
    }
    const question = questions[asked++ % questions.length]!;
    const onAnswer = (answer: HttpAnswer) => {
      try {
        book.enter(question, answer, askedAt, askedAt);
        askOn(connection, done, failed);
      } catch (error) {
        failed(error);
      }
    };
    connection.send(question.request, onAnswer, failed);
  }

  const callers = open.map((connection) => new Promise<void>((resolve, reject) => askOn(connection, resolve, reject)));
  try {
    await Promise.all(callers);
    return book.close();
  } finally {
    for (const connection of open) connection.close();
  }
}

export interface OpenLoopOptions {
  /** Questions a second. */
  rate: number;
  seconds: number;
  connections: number;
  /** Takes a 503 with Retry-After for an answer, and drops what finds no free connection instead of letting it wait. */
  overload?: boolean;
  /** Called when nothing falls due any more; what is under way is then still answered. */
  onLastSent?: () => void;
}

export async function openLoop(
  target: Target,
  questions: readonly Question[],
  { rate, seconds, connections, overload = false, onLastSent }: OpenLoopOptions,
): Promise<LoadResult> {
  const open = await openConnections(target, connections);
  const free = [...open];
  const waiting: number[] = [];
  const book = openBook(target, { seconds, refusable: overload });
  let asked = 0;
  let broken: unknown;
  let onAllFree: (() => void) | undefined;
  let onOneFree: (() => void) | undefined;

  const fail = (error: unknown) => {
    broken ??= error;
    onAllFree?.();
    onOneFree?.();
  };

  /** Asks on a connection, and goes on there with what waits for one. */
  function ask(connection: Connection, dueAt: number): void {
    const question = questions[asked++ % questions.length]!;
    const sentAt = performance.now();
    const onAnswer = (answer: HttpAnswer) => {
      try {
        book.enter(question, answer, dueAt, sentAt);
      } catch (error) {
        fail(error);
        return;
      }
      const next = waiting.shift();
      if (next !== undefined) ask(connection, next);
      else free.push(connection);
      onOneFree?.();
      if (free.length === open.length) onAllFree?.();
    };
    connection.send(question.request, onAnswer, fail);
  }

  const startedAt = performance.now();
  let due = 0;
  const dueTime = () => startedAt + (due * 1000) / rate;
  try {
    while (!broken) {
      const now = performance.now();
      if (now >= book.until) break;
      for (; dueTime() <= now; due++) {
        if (free.length === 0) {
          if (overload) book.notSent();
          else waiting.push(dueTime());
          continue;
        }
        book.late(now - dueTime());
        ask(free.pop()!, dueTime());
      }
      if (overload && free.length === 0) {
        // To turn in circles meanwhile would take this core from PostgreSQL.
        await new Promise<void>((resolve) => {
          onOneFree = resolve;
        });
        onOneFree = undefined;
        for (const freeAt = performance.now(); dueTime() <= freeAt; due++) book.notSent();
      } else {
        rest(dueTime() - performance.now());
        await nextTurn();
      }
    }
    onLastSent?.();
    if (!broken && free.length < open.length) {
      await new Promise<void>((resolve) => {
        onAllFree = resolve;
      });
    }
    if (broken) throw broken;
    return book.close();
  } finally {
    for (const connection of open) connection.close();
  }
}

const openConnections = (target: Target, count: number) =>
  Promise.all(Array.from({ length: count }, () => openConnection(target.url)));

const sleeper = new Int32Array(new SharedArrayBuffer(4));
/** An answer that has come meanwhile is seen this much later at most, in milliseconds. */
const LONGEST_REST_MS = 0.05;

/**
 * Sleeps until shortly before the next question falls due. A timer of Node cannot: it counts in milliseconds. Turning in
 * circles could, but PostgreSQL shares this core and would have to wait.
 */
function rest(milliseconds: number): void {
  if (milliseconds > 0.02) Atomics.wait(sleeper, 0, 0, Math.min(milliseconds - 0.01, LONGEST_REST_MS));
}

/** Parsing every answer would make the load generator the slowest part, so each status and every so many values. */
const CHECK_EVERY = 61;

/** Keeps the score of one load. */
function openBook(target: Target, { seconds, refusable }: { seconds: number; refusable: boolean }) {
  const latencies: number[] = [];
  const refusalLatencies: number[] = [];
  const lateness: number[] = [];
  let notSent = 0;
  let answers = 0;
  let rows = 0;
  let entered = 0;
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  return {
    until,
    notSent: () => {
      notSent++;
    },
    late: (milliseconds: number) => {
      lateness.push(milliseconds);
    },
    enter({ houses }: Question, { status, head, body }: HttpAnswer, since: number, sentAt: number): void {
      const now = performance.now();
      if (refusable && status === 503 && /\r\nretry-after: *\d/i.test(head())) {
        refusalLatencies.push(now - sentAt);
        return;
      }
      if (status !== 200) throw new Error(`${target.name} answered ${status}: ${body().slice(0, 300)}`);
      target.answeredRows += houses.length;
      if (entered++ % CHECK_EVERY === 0 && !target.check(body(), houses)) {
        throw new Error(`${target.name} answered wrongly about house ${houses[0]}: ${body().slice(0, 300)}`);
      }
      if (now > until) return;
      latencies.push(now - since);
      answers++;
      rows += houses.length;
    },
    close(): LoadResult {
      const elapsed = (performance.now() - startedAt) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      const sorted = (values: number[]) => Float64Array.from(values).sort();
      return {
        answers,
        rows,
        seconds: Math.min(elapsed, seconds),
        latencies: sorted(latencies),
        refusals: refusalLatencies.length,
        refusalLatencies: sorted(refusalLatencies),
        notSent,
        lateness: sorted(lateness),
        generatorShare: (user + system) / 1e6 / elapsed,
      };
    },
  };
}
