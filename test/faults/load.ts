/** Callers that keep asking for predictions and remember every answer, so that it can be looked for in Postgres. */
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';

/** One prediction that a caller has been given. */
export interface Answer {
  id: string;
  /** The row of the data set that was sent. */
  row: number;
  prediction: number;
  version: string;
}

export interface Failure {
  /** The status of the answer, or the code of the connection's error. */
  kind: string;
  detail: string;
  /** Whether there was an answer, with another status than 200. */
  answered: boolean;
  /**
   * Whether the service had taken the connection: it had answered on it before. A new connection that is refused, or
   * that is reset because the listener closed before it was accepted, is an attempt to reach a service that is gone.
   */
  accepted: boolean;
  /** Milliseconds since 1970. */
  at: number;
}

export interface LoadOptions {
  url: string;
  connections?: number;
  /** Requests a second whatever the answers take (open loop); without it, each connection asks as soon as it is answered. */
  rate?: number;
  /** Rows in a request; more than one is asked of /predict/batch. */
  batchRows?: number;
}

export interface Load {
  readonly answers: readonly Answer[];
  readonly failures: readonly Failure[];
  requests(): number;
  /** The 99th percentile in milliseconds of what was answered in this time, from when it should have been sent. */
  p99(from: number, to: number): number;
  /** Waits for the answers that are under way. */
  stop(): Promise<void>;
}

const WAITING_LIMIT = 10_000;
const TICK_MS = 5;

const dataset = loadHousingDataset();
const names = housing.names;

/** The rows of the data set as they are sent. */
export const houses: readonly Record<string, number>[] = Array.from({ length: dataset.X.rows }, (_, row) =>
  Object.fromEntries(names.map((name, column) => [name, dataset.X.data[row * names.length + column]!])),
);
const bodies = houses.map((house) => JSON.stringify(house));

export function startLoad({ url, connections = 16, rate, batchRows = 1 }: LoadOptions): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const target = new URL(batchRows > 1 ? '/predict/batch' : '/predict', url);
  const answers: Answer[] = [];
  const failures: Failure[] = [];
  const latencies: { at: number; milliseconds: number }[] = [];
  const underWay = new Set<Promise<void>>();
  let sent = 0;
  let nextRow = 0;
  let stopped = false;

  async function ask(dueAt: number): Promise<void> {
    const rows = Array.from({ length: batchRows }, () => nextRow++ % bodies.length);
    const body = batchRows > 1 ? `{"instances":[${rows.map((row) => bodies[row]).join(',')}]}` : bodies[rows[0]!]!;
    sent++;
    try {
      const { status, text } = await post(target, body, agent);
      if (status !== 200) {
        failures.push({ kind: String(status), detail: text, answered: true, accepted: true, at: Date.now() });
        return;
      }
      const answer = JSON.parse(text) as Record<string, unknown>;
      const ids = batchRows > 1 ? (answer.prediction_ids as string[]) : [answer.prediction_id as string];
      const predictions = batchRows > 1 ? (answer.predictions as number[]) : [answer.prediction as number];
      const version = answer.model_version as string;
      ids.forEach((id, i) => {
        answers.push({ id, row: rows[i]!, prediction: predictions[i]!, version });
      });
      latencies.push({ at: Date.now(), milliseconds: performance.now() - dueAt });
    } catch (error) {
      const { code = 'broken', message, reused = true } = error as NodeJS.ErrnoException & { reused?: boolean };
      failures.push({ kind: code, detail: message, answered: false, accepted: reused, at: Date.now() });
      // A server that is gone is not asked a thousand times a second.
      await delay(20);
    }
  }

  async function closedLoop(): Promise<void> {
    while (!stopped) await ask(performance.now());
  }

  async function openLoop(perSecond: number): Promise<void> {
    const startedAt = performance.now();
    for (let due = 0; !stopped; await delay(TICK_MS)) {
      const elapsed = performance.now() - startedAt;
      for (; due < (elapsed * perSecond) / 1000; due++) {
        if (underWay.size >= WAITING_LIMIT) {
          const detail = 'too many requests wait for an answer';
          failures.push({ kind: 'not sent', detail, answered: false, accepted: true, at: Date.now() });
          continue;
        }
        const asking = ask(startedAt + (due * 1000) / perSecond);
        underWay.add(asking);
        void asking.finally(() => underWay.delete(asking));
      }
    }
  }

  const callers = rate === undefined ? Array.from({ length: connections }, closedLoop) : [openLoop(rate)];
  return {
    answers,
    failures,
    requests: () => sent,
    p99(from, to) {
      const chosen = latencies.filter(({ at }) => at >= from && at < to).map(({ milliseconds }) => milliseconds);
      return chosen.sort((a, b) => a - b)[Math.floor(chosen.length * 0.99)] ?? Number.NaN;
    },
    async stop() {
      stopped = true;
      await Promise.all(callers);
      await Promise.all(underWay);
      agent.destroy();
    },
  };
}

/** Load for a time; resolves when it has ended. */
export async function runLoad(options: LoadOptions, milliseconds: number): Promise<Load> {
  const load = startLoad(options);
  await delay(milliseconds);
  await load.stop();
  return load;
}

export function post(url: URL, body: string, agent: Agent): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sending = request(url, { method: 'POST', agent, headers, timeout: 20_000 }, (response) => {
      readText(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    sending.on('timeout', () => sending.destroy(new Error('no answer within 20 s')));
    sending.on('error', (error) => reject(Object.assign(error, { reused: sending.reusedSocket })));
    sending.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response) text += chunk;
  return text;
}
