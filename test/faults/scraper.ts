/** Reads /metrics all the time, one scrape after the other, and notes what must never be. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Scraped, scrape } from '../support/metrics.ts';
import type { ServerProcess } from '../support/server.ts';

export interface Scraper {
  /** What was wrong: another answer than 200, none in time, a count that went back, a value below 0. */
  readonly complaints: readonly string[];
  /** How many scrapes were answered. */
  scrapes(): number;
  stop(): Promise<void>;
}

/**
 * Resolves after the first scrape. That nobody listens, or the connection breaks, is left to the test. It ends with the
 * process: the port of one that is gone may be that of another test's server.
 */
export async function startScraper({ adminUrl, process }: ServerProcess, aSecond: number): Promise<Scraper> {
  const complaints: string[] = [];
  let previous: Scraped | undefined;
  let scrapes = 0;
  let stopped = false;
  const isOver = () => stopped || process.exitCode !== null || process.signalCode !== null;

  function compare(scraped: Scraped): void {
    for (const [series, value] of scraped.samples) {
      const isCount = /_(total|bucket|count|sum)$/.test(series.split('{', 1)[0]!);
      const before = previous?.samples.get(series) ?? 0;
      if (!(value >= 0)) complaints.push(`${series} is ${value}`);
      else if (isCount && value < before) complaints.push(`${series} went back from ${before} to ${value}`);
    }
    previous = scraped;
  }

  async function scrapeOnce(): Promise<void> {
    try {
      const scraped = await scrape(adminUrl!);
      if (isOver()) return;
      compare(scraped);
      scrapes++;
    } catch (error) {
      // What fetch throws where there is no answer.
      if (!(error instanceof TypeError || isOver())) complaints.push(String(error));
    }
  }

  async function run(): Promise<void> {
    while (!isOver()) await Promise.all([scrapeOnce(), delay(1000 / aSecond)]);
  }

  await scrapeOnce();
  const running = run();
  return {
    complaints,
    scrapes: () => scrapes,
    async stop() {
      stopped = true;
      await running;
    },
  };
}
