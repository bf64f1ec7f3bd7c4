/** What /metrics counts against what callers were answered: equal, whatever they sent and whichever way it was handled. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metricNames } from '../../src/metrics/catalogue.ts';
import { bothWays, startTestApp, type TestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { type Scraped, scrape } from '../support/metrics.ts';
import { articleRow, post } from '../support/requests.ts';

const row = JSON.stringify(articleRow);
const head = (line: string, ...headers: string[]) => [`${line} HTTP/1.1`, 'host: x', 'connection: close', ...headers];
const message = (lines: string[], body = '') => `${lines.join('\r\n')}\r\n\r\n${body}`;
const json = (line: string, body: string) =>
  message(head(line, 'content-type: application/json', `content-length: ${Buffer.byteLength(body)}`), body);
const instances = (...rows: object[]) => JSON.stringify({ instances: rows });

/** A request, the route that its answer is counted under, and the status. */
const requests: [request: string, route: string, status: number][] = [
  [json('POST /predict', row), '/predict', 200],
  [json('POST /predict?', row), '/predict', 200],
  [json('POST /predict/batch', instances(articleRow, articleRow, articleRow)), '/predict/batch', 200],
  [json('POST /predict', '{"CRIM":'), '/predict', 400],
  [json('POST /predict', '{}'), '/predict', 422],
  [json('POST /predict?colour=1', row), '/predict', 422],
  [json('POST /predict', JSON.stringify({ ...articleRow, RM: 1e308 })), '/predict', 422],
  [json('POST /predict/batch', instances({})), '/predict/batch', 422],
  [json('POST /predict/batch', instances()), '/predict/batch', 422],
  [message(head('POST /predict', 'content-type: text/plain', 'content-length: 2'), '{}'), '/predict', 415],
  [message(head('POST /predict', 'content-type: application/json', 'content-length: 99999999')), '/predict', 413],
  [message(head('POST /predict', 'expect: a miracle', 'content-length: 0')), '/predict', 417],
  [message(head('GET /health')), '/health', 200],
  [message(head('HEAD /health')), '/health', 200],
  [message(head('GET /livez')), '/livez', 200],
  [message(head('GET /readyz')), '/readyz', 200],
  [message(head('GET /docs/json')), '/docs/json', 200],
  [message(head('GET /')), '/', 200],
  [message(head('GET /predict')), 'none', 405],
  [message(head('GET /nope')), 'none', 404],
  [message(head('OPTIONS *')), 'none', 404],
  [message(head('GET /%ff')), 'none', 400],
  [message(['GET /health HTTP/1.1', 'connection: close']), '/health', 400],
];
/** What never becomes a request, so that it has no duration. */
const others: typeof requests = [
  [message(head('CONNECT example.org:443')), 'none', 400],
  ['no HTTP at all\r\n\r\n', 'none', 400],
  [message(head('GET /health', `x-long: ${'x'.repeat(100_000)}`)), 'none', 431],
];

async function send(url: string, request: string): Promise<{ status: number; code: string | undefined }> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  let received = '';
  socket.on('data', (piece) => {
    received += piece.toString('latin1');
  });
  socket.write(request);
  await once(socket, 'end');
  socket.destroy();
  return { status: Number(received.slice(9, 12)), code: /urn:ridgeline:error:(\w+)/.exec(received)?.[1] };
}

function countsOf({ samples }: Scraped, name: string): Record<string, number> {
  return Object.fromEntries([...samples].filter(([series, count]) => series.startsWith(`${name}{`) && count > 0));
}

const add = (counts: Record<string, number>, key: string) => {
  counts[key] = (counts[key] ?? 0) + 1;
};

describe.each(bothWays)('%s', (_way, options) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ ADMIN_PORT: '0' }, options);
  });
  afterAll(() => app.close());

  test('every answer is counted once, under its route and status, and every problem under its code', async () => {
    const answers: Record<string, number> = {};
    const refusals: Record<string, number> = {};
    const durations: Record<string, number> = {};
    for (const [request, route, expected] of [...requests, ...others, ...requests.slice(0, 5)]) {
      const { status, code } = await send(app.url, request);
      expect(status, request.slice(0, 60)).toBe(expected);
      add(answers, `ridgeline_http_requests_total{route="${route}",status="${status}"}`);
      if (status >= 400 && code) add(refusals, `ridgeline_refusals_total{reason="${code}"}`);
      if (!others.some(([other]) => other === request))
        add(durations, `ridgeline_http_request_duration_seconds_count{route="${route}"}`);
    }
    const scraped = await scrape(app.adminUrl!);
    expect(countsOf(scraped, 'ridgeline_http_requests_total')).toEqual(answers);
    expect(countsOf(scraped, 'ridgeline_refusals_total')).toEqual(refusals);
    expect(countsOf(scraped, 'ridgeline_http_request_duration_seconds_count')).toEqual(durations);
    // Two rows and then three, and two more rows and three of those that were sent again.
    expect(scraped.sum('ridgeline_inference_rows_total')).toBe(10);
    expect(scraped.sum('ridgeline_inference_queue_duration_seconds_count')).toBe(7);
    expect(scraped.sum('ridgeline_inference_run_duration_seconds_count')).toBe(7);
    await eventually(async () => {
      const [{ rows }] = (await app.database.query('select count(*)::int as rows from predictions')) as [
        { rows: number },
      ];
      const { sum } = await scrape(app.adminUrl!);
      return (
        rows === 10 &&
        sum('ridgeline_prediction_log_backlog_rows') === 0 &&
        sum('ridgeline_relay_batches_total', 'stored') > 0
      );
    });
  });

  test('what operators ask is not counted', async () => {
    const before = await scrape(app.adminUrl!);
    for (const path of ['/health', '/metrics', '/docs/json', '/nope']) await fetch(app.adminUrl! + path);
    const after = await scrape(app.adminUrl!);
    const name = 'ridgeline_http_requests_total';
    expect(countsOf(after, name)).toEqual(countsOf(before, name));
  });
});

describe('GET /metrics', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  test('is text of Prometheus with every metric, on the public port outside production, and counts itself there', async () => {
    const response = await fetch(`${app.url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    await response.text();
    const { types, sum, samples } = await scrape(app.url);
    expect([...types.keys()]).toEqual(metricNames);
    expect(sum('ridgeline_http_requests_total', 'route="/metrics"')).toBe(1);
    const [info] = await app.database.query<{ pipeline_version: string; sha256: string }>(
      'select pipeline_version, sha256 from ml_pipeline',
    );
    expect([...samples.keys()]).toContain(
      `ridgeline_pipeline_info{version="${info!.pipeline_version}",sha256="${info!.sha256}"}`,
    );
    expect(sum('ridgeline_pipeline_swaps_total', 'served')).toBe(1);
    expect(sum('ridgeline_prediction_log_spool_limit_bytes')).toBe(app.config.spoolMaxBytes);
  });

  test('does not wait for the database', async () => {
    await app.database.query('alter table predictions rename to elsewhere');
    expect((await post(`${app.url}/predict`, row)).status).toBe(200);
    await eventually(async () => (await scrape(app.url)).sum('ridgeline_relay_batches_total', 'failed') > 0);
    const { sum } = await scrape(app.url);
    expect(sum('ridgeline_prediction_log_backlog_rows')).toBe(1);
    expect(sum('ridgeline_prediction_log_backlog_age_seconds')).toBeGreaterThan(0);
    await app.database.query('alter table elsewhere rename to predictions');
    await eventually(async () => (await scrape(app.url)).sum('ridgeline_prediction_log_backlog_rows') === 0);
  });
});
