/** Callers that ask for predictions, tell what became of them, and remember every label that was taken. */
import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { houses, post } from './load.ts';

export interface SentLabel {
  id: string;
  actual: number;
}

export interface LabelLoadOptions {
  /** Of predictions. */
  url: string;
  /** Of labels. */
  labelUrl: string;
  connections: number;
  /** Labels in a request; more than one are sent to /ground-truth/batch. */
  batchRows: number;
}

export interface LabelLoad {
  /** Those that were answered 200 or 202. */
  readonly labels: readonly SentLabel[];
  /** Status and code of what was answered otherwise; such labels are sent again. */
  readonly refusals: readonly string[];
  requests(): number;
  /** Predictions that were answered, but not with 200. */
  failedPredictions(): number;
  /** Waits for what is under way. */
  stop(): Promise<void>;
}

const row = JSON.stringify(houses[0]);

/** Half of the labels follow at once, while their predictions wait in the spool. */
export function startLabelLoad({ url, labelUrl, connections, batchRows }: LabelLoadOptions): LabelLoad {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const batch = batchRows > 1 ? '/batch' : '';
  const predictUrl = new URL(`/predict${batch}`, url);
  const truthUrl = new URL(`/ground-truth${batch}`, labelUrl);
  const rows = batchRows > 1 ? `{"instances":[${Array(batchRows).fill(row).join()}]}` : row;
  const labels: SentLabel[] = [];
  const refusals: string[] = [];
  let requests = 0;
  let failedPredictions = 0;
  let stopped = false;

  async function predict(): Promise<string[]> {
    const { status, text } = await post(predictUrl, rows, agent);
    if (status === 200) {
      const answer = JSON.parse(text) as { prediction_id: string; prediction_ids?: string[] };
      return answer.prediction_ids ?? [answer.prediction_id];
    }
    failedPredictions++;
    return [];
  }

  /** Sends them until they are taken; throws where the connection breaks. */
  async function tell(sent: readonly SentLabel[]): Promise<void> {
    const observed_at = new Date().toISOString();
    const instances = sent.map(({ id, actual }) => ({ prediction_id: id, actual, observed_at }));
    const body = JSON.stringify(batchRows > 1 ? { instances } : instances[0]);
    for (;;) {
      requests++;
      const { status, text } = await post(truthUrl, body, agent);
      if (status === 200 || status === 202) break;
      refusals.push(`${status} ${/urn:ridgeline:error:(\w+)/.exec(text)?.[1]}`);
      if (stopped) return;
      await delay(100);
    }
    labels.push(...sent);
  }

  async function call(caller: number): Promise<void> {
    for (let round = caller; !stopped; round++) {
      try {
        const ids = await predict();
        if (round % 2 === 0) await delay(50);
        if (ids.length > 0) await tell(ids.map((id, i) => ({ id, actual: round + i / 1000 })));
      } catch {
        // A connection that dies with the process was promised nothing.
        await delay(20);
      }
    }
  }

  const callers = Array.from({ length: connections }, (_, caller) => call(caller));
  return {
    labels,
    refusals,
    requests: () => requests,
    failedPredictions: () => failedPredictions,
    async stop() {
      stopped = true;
      await Promise.all(callers);
      agent.destroy();
    },
  };
}
