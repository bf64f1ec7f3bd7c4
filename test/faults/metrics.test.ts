/**
 * What /metrics says, while one fault follows another, against what callers and the database have counted: equal. It is scraped
 * a hundred times a second meanwhile, and no count ever goes back.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type Scraped, scrape } from '../support/metrics.ts';
import { post } from '../support/requests.ts';
import { inForm } from './form.ts';
import { type Answer, houses, type Load, runLoad, startLoad } from './load.ts';
import { openRegistry, train } from './pipelines.ts';
import { reportFault } from './report.ts';
import { startScraper } from './scraper.ts';
import { type Health, prepareService, type Service } from './service.ts';
import { compareWithStored, expectNothingLost } from './verification.ts';

const STAGE_MS = inForm(700, 5_000);
const CONNECTIONS = 8;
const SCRAPES_A_SECOND = 100;
const MAX_SPOOL_BYTES = 2_000_000;
const RATE = 500;
const MISTAKES = 20;

test('one fault after the other: answers, refusals, rows, backlog, dead letters and swaps are what was counted', async () => {
  const service = await prepareService({ settings: { SPOOL_MAX_BYTES: String(MAX_SPOOL_BYTES) } });
  const { url, adminUrl } = (await service.start()) as { url: string; adminUrl: string };
  const scraper = await startScraper(service.server, SCRAPES_A_SECOND);
  const loads: Load[] = [];
  const answered = () => loads.flatMap(({ answers }) => answers);
  async function run(batchRows = 1): Promise<Load> {
    const load = await runLoad({ url, connections: CONNECTIONS, batchRows }, STAGE_MS);
    loads.push(load);
    return load;
  }
  // On the admin port, where what is asked is not counted.
  const health = async () => (await fetch(`${adminUrl}/health`)).json() as Promise<Health>;
  const backlog = async () => (await scrape(adminUrl)).sum('ridgeline_prediction_log_backlog_rows');
  const isMoved = () => eventually(async () => (await backlog()) === 0, 30_000);

  await run();
  await run(20);
  await isMoved();

  // Postgres is away.
  await service.proxy.set('refuse');
  const storedBefore = await storedRows(service);
  await run();
  expect(await backlog()).toBe(answered().length - storedBefore);
  expect((await scrape(adminUrl)).sum('ridgeline_prediction_log_backlog_age_seconds')).toBeGreaterThan(0);

  // The spool is full as well.
  const filling = startLoad({ url, connections: CONNECTIONS, batchRows: 200 });
  loads.push(filling);
  await eventually(async () => filling.failures.length > 0, 60_000);
  await filling.stop();
  const refused = filling.failures.length;
  await service.proxy.set('pass');
  await eventually(async () => (await fetch(`${adminUrl}/readyz`)).status === 200, 30_000);
  await isMoved();
  // Until the spool is written again, what Postgres refuses is no dead letter, but a 503.
  await eventually(async () => (await health()).backlog.last_error === null);
  expect(await storedRows(service)).toBe(answered().length);

  // Some of the rows are refused for good.
  await service.database.query('alter table predictions add constraint not_this_age check (age <> 65.2) not valid');
  const partly = await run();
  await isMoved();
  const isRefused = ({ row }: Answer) => houses[row]!.AGE === 65.2;
  const setAside = partly.answers.filter(isRefused).length;
  expect(setAside).toBeGreaterThan(0);
  await service.database.query('alter table predictions drop constraint not_this_age');

  // Versions come and go, the last one damaged, while callers ask.
  const asking = startLoad({ url, connections: CONNECTIONS });
  loads.push(asking);
  const swaps = await swapVersions(service, health);
  await asking.stop();

  // Callers make mistakes, and some do not speak HTTP.
  for (let i = 0; i < MISTAKES; i++) {
    await (await post(`${url}/predict`, '{')).arrayBuffer();
    await (await post(`${url}/predict`, { CRIM: 'much' })).arrayBuffer();
    await (await fetch(`${url}/nope`)).arrayBuffer();
    await speak(url, 'BLAH\r\n\r\n');
  }
  await isMoved();

  const end = await scrape(adminUrl);
  await scraper.stop();
  const requests = loads.reduce((sum, load) => sum + load.requests(), 0);
  expect(loads.flatMap(({ failures }) => failures).filter(({ kind }) => kind !== '503')).toEqual([]);
  expect(end.sum('ridgeline_http_requests_total', 'route="/predict')).toBe(requests + 2 * MISTAKES);
  expect(end.sum('ridgeline_http_requests_total', 'status="503"')).toBe(refused);
  expect(end.sum('ridgeline_http_requests_total', 'route="none"')).toBe(2 * MISTAKES);
  expect(refusalsOf(end)).toEqual({
    invalid_json: MISTAKES,
    invalid_features: MISTAKES,
    invalid_request: MISTAKES,
    not_found: MISTAKES,
    prediction_not_stored: refused,
  });
  expect(end.sum('ridgeline_inference_rows_total')).toBe(answered().length);
  expect(end.sum('ridgeline_dead_letters_total')).toBe(setAside);
  expect(await deadLetters(service)).toBe(setAside);
  expect(await storedRows(service)).toBe(answered().length - setAside);
  expect(end.sum('ridgeline_pipeline_swaps_total', 'served')).toBe(1 + swaps.served);
  expect(end.sum('ridgeline_pipeline_swaps_total', 'refused')).toBe(swaps.refused);
  expect(end.sum('ridgeline_log_lines_dropped_total')).toBe(0);
  const expected = answered().filter((answer) => !(partly.answers.includes(answer) && isRefused(answer)));
  const stored = await compareWithStored(service.database, expected);
  expectNothingLost(stored);
  expect(scraper.complaints).toEqual([]);
  reportFault({
    fault: 'metrics against what was counted, one fault after the other',
    load: `${CONNECTIONS} connections, closed loop; ${SCRAPES_A_SECOND} scrapes/s`,
    requests,
    failures: 0,
    stored,
    note: `${scraper.scrapes()} scrapes; ${refused} refused with 503; ${setAside} set aside; ${swaps.served} swaps`,
  });
});

test('callers are answered as fast beside a hundred scrapes a second', async () => {
  const service = await prepareService();
  const { url } = await service.start();
  const milliseconds = inForm(2_000, 60_000);
  await runLoad({ url, rate: RATE }, 2_000);
  const without = await runLoad({ url, rate: RATE }, milliseconds);
  const scraper = await startScraper(service.server, SCRAPES_A_SECOND);
  const beside = await runLoad({ url, rate: RATE }, milliseconds);
  await scraper.stop();
  expect([...without.failures, ...beside.failures]).toEqual([]);
  expect(scraper.complaints).toEqual([]);
  const [p99Without, p99Beside] = [without, beside].map((load) => load.p99(0, Number.POSITIVE_INFINITY));
  reportFault({
    fault: 'scraped a hundred times a second',
    load: `${RATE} requests/s`,
    requests: without.requests() + beside.requests(),
    failures: 0,
    note: `p99 ${p99Without!.toFixed(1)} ms without, ${p99Beside!.toFixed(1)} ms beside ${scraper.scrapes()} scrapes`,
  });
});

/** Promotes versions that are good, then one that is not. */
async function swapVersions(
  { database }: Service,
  health: () => Promise<Health>,
): Promise<{ served: number; refused: number }> {
  const registry = await openRegistry(database.url);
  const { model_version: first } = await health();
  const versions = [await registry.insert(train(10)), first!, await registry.insert(train(100))];
  for (const version of versions) {
    await registry.promote(version);
    await eventually(async () => (await health()).model_version === version);
  }
  const bad = await registry.insert({ ...train(7), sha256: '0'.repeat(64) });
  await registry.promote(bad);
  await eventually(async () => (await health()).refused_version?.model_version === bad);
  await registry.close();
  return { served: versions.length, refused: 1 };
}

async function storedRows({ database }: Service): Promise<number> {
  const [counted] = await database.query<{ rows: number }>('select count(*)::int as rows from predictions');
  return counted!.rows;
}

async function deadLetters({ directories }: Service): Promise<number> {
  const text = await readFile(join(directories.dataDir, 'spool', 'dead-letter.jsonl'), 'utf8');
  return text.split('\n').filter(Boolean).length;
}

/** Those that there were, by reason. */
function refusalsOf({ samples }: Scraped): Record<string, number> {
  const refusals = [...samples].flatMap(([series, count]) => {
    const reason = /^ridgeline_refusals_total\{reason="(\w+)"\}$/.exec(series)?.[1];
    return reason !== undefined && count > 0 ? [[reason, count] as const] : [];
  });
  return Object.fromEntries(refusals);
}

/** Says something to the port, and waits until that ends the connection. */
async function speak(url: string, text: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(text));
  socket.on('error', () => undefined).resume();
  await once(socket, 'close');
}
