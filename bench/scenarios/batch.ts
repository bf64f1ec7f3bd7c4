/** A thousand rows in a request: against the JSON alone that such a request and its answer are made of. */
import { type Bench, inTurns } from '../environment.ts';
import { closedLoop } from '../load.ts';
import { figure, format, median, quantile, type Row, ratios } from '../report.ts';
import { batchBody, batchRequests } from '../requests.ts';

const ROWS = 1000;
/** As many callers as keep the core busy: one is being answered while others are on their way. */
const BUSY_CONNECTIONS = 4;
const JSON_TIMES = 50;

export async function batch(bench: Bench): Promise<Row[]> {
  const { plan } = bench;
  const service = await bench.startService();
  const requests = batchRequests(ROWS);
  const load = (connections: number, seconds: number) => closedLoop(service, requests, { connections, seconds });
  await load(BUSY_CONNECTIONS, plan.warmUpSeconds);
  const { json, alone, stored } = await inTurns(2 * plan.rounds, {
    json: async () => jsonMilliseconds(),
    async alone() {
      await bench.drained();
      return quantile((await load(1, plan.seconds)).latencies, 0.5);
    },
    async stored() {
      await bench.drained();
      const startedAt = performance.now();
      await load(BUSY_CONNECTIONS, plan.seconds);
      const rows = service.answeredRows;
      await bench.drained();
      return rows / ((performance.now() - startedAt) / 1000);
    },
  });
  return [
    figure('1,000 rows: latency, of JSON.parse + JSON.stringify', ratios(alone, json), {
      unit: 'x',
      atMost: 2,
      note: `one connection; ${format(median(alone), 'ms')} against ${format(median(json), 'ms')}`,
    }),
    figure('1,000 rows: stored', stored, {
      unit: '/s',
      atLeast: 100_000,
      note: 'rows, until the last is in PostgreSQL',
    }),
  ];
}

/** What Node alone needs to read the body of such a request and to write the body of its answer, in milliseconds. */
function jsonMilliseconds(): number {
  const { body } = batchBody(ROWS);
  const answer = {
    predictions: Array.from({ length: ROWS }, (_, i) => 20 + Math.sin(i)),
    prediction_ids: Array.from({ length: ROWS }, (_, i) => `01a20468-250c-73dd-882d-${String(i).padStart(12, '0')}`),
  };
  const times = Array.from({ length: JSON_TIMES }, () => {
    const startedAt = performance.now();
    JSON.parse(body);
    JSON.stringify(answer);
    return performance.now() - startedAt;
  });
  return median(times);
}
