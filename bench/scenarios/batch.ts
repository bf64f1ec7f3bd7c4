/** A thousand rows in a request: against the JSON alone that such a request and its answer are made of. */
import { closedLoop } from '../load.ts';
import { batchBody, batchQuestions } from '../questions.ts';
import { figure, type Row, ratios, shown } from '../report.ts';
import { median, quantile } from '../statistics.ts';
import type { Bench } from '../surroundings.ts';

const ROWS = 1000;
/** As many callers as keep the core busy: one is being answered while others are on their way. */
const BUSY_CONNECTIONS = 4;
const JSON_TIMES = 50;

export async function batch(bench: Bench): Promise<Row[]> {
  const { plan } = bench;
  const service = await bench.startService();
  const questions = batchQuestions(ROWS);
  const load = (connections: number, seconds: number) => closedLoop(service, questions, { connections, seconds });
  await load(BUSY_CONNECTIONS, plan.warmUpSeconds);

  const alone: number[] = [];
  const json: number[] = [];
  const busy: number[] = [];
  const answeredRates: number[] = [];
  const storedRates: number[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    await bench.drained();
    json.push(jsonMilliseconds());
    const single = await load(1, plan.seconds / 2);
    alone.push(quantile(single.latencies, 0.5));
    await bench.drained();
    const startedAt = performance.now();
    const result = await load(BUSY_CONNECTIONS, plan.seconds / 2);
    const rows = service.answeredRows;
    await bench.drained();
    busy.push((result.seconds * 1000) / result.answers);
    answeredRates.push(result.rows / result.seconds);
    storedRates.push(rows / ((performance.now() - startedAt) / 1000));
  }
  return [
    figure('1,000 rows: latency, of JSON.parse + JSON.stringify', ratios(alone, json), {
      unit: 'x',
      atMost: 2,
      note: `one connection; ${shown(median(alone), 'ms')} against ${shown(median(json), 'ms')}`,
    }),
    figure('1,000 rows: time for a request when busy, of the same', ratios(busy, json), {
      unit: 'x',
      note: `${BUSY_CONNECTIONS} connections, ${shown(median(busy), 'ms')}`,
    }),
    figure('1,000 rows: stored', storedRates, {
      unit: '/s',
      atLeast: 100_000,
      note: `rows, until the last is in PostgreSQL; answered ${shown(median(answeredRates), '/s')}`,
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
