/**
 * Hears of promotions. A LISTEN connection brings the news at once; a poll finds what a lost notice hid. The connection
 * has a heartbeat, because one whose other end has vanished looks healthy for minutes, and is made again with growing
 * pauses. After every reconnection the state is read anew, as notices were missed meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createBackoff } from '../backoff.ts';
import type { Log } from '../log.ts';
import { createOutage } from '../outage.ts';
import { within } from '../within.ts';

/** The slice of a Postgres client that this file uses. */
export interface ListeningClient {
  connect(): Promise<unknown>;
  query(text: string): Promise<unknown>;
  on(event: 'notification', listener: () => void): unknown;
  on(event: 'error' | 'end', listener: (error?: Error) => void): unknown;
  end(): Promise<void>;
}

export interface VersionListenerOptions {
  /** Makes an unconnected client of its own for the listener. */
  createClient: () => ListeningClient;
  channel: string;
  pollSeconds: number;
  /** Reads the state and acts on it. A rejection means that the database could not be read; the next poll tries again. */
  onChange: () => Promise<void>;
  log: Log;
}

const HEARTBEAT_MS = 5_000;
const HEARTBEAT_TIMEOUT_MS = 4_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

/** Starts listening and polling at once; the returned `close` stops both. */
export function startVersionListener(options: VersionListenerOptions): { close: () => Promise<void> } {
  const { createClient, channel, pollSeconds, onChange, log } = options;
  const stopped = new AbortController();
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'the database is not reachable; serving goes on with what is in memory',
    ends: 'the database is reachable again',
  });

  /** A failure that the shutdown causes is no outage. */
  function failed(error: unknown): void {
    if (!stopped.signal.aborted) outage.begin(error);
  }

  const read = () => onChange().then(outage.end, failed);

  /** One connection's life; resolves or rejects when it is lost. */
  async function listenOnce(onListening: () => void): Promise<void> {
    const client = createClient();
    let lose: (error: Error) => void = () => undefined;
    const lost = new Promise<never>((_, reject) => (lose = reject));
    lost.catch(() => undefined);
    client.on('error', (error) => lose(error ?? new Error('connection error')));
    client.on('end', () => lose(new Error('the connection was closed')));
    client.on('notification', () => void read());
    // A shutdown does not wait for a silent database.
    const stop = () => lose(new Error('the service ends'));
    stopped.signal.addEventListener('abort', stop);
    try {
      await Promise.race([client.connect(), lost]);
      await Promise.race([client.query(`listen "${channel}"`), lost]);
      onListening();
      outage.end();
      await Promise.race([read(), lost]);
      while (true) {
        await Promise.race([delay(HEARTBEAT_MS, undefined, { ref: false }), lost]);
        await within(HEARTBEAT_TIMEOUT_MS, Promise.race([client.query('select 1'), lost]), () => {
          throw new Error('the heartbeat was not answered');
        });
      }
    } finally {
      stopped.signal.removeEventListener('abort', stop);
      // Without waiting: on a dead connection `end` would not return.
      client.end().catch(() => undefined);
    }
  }

  async function listenForever(): Promise<void> {
    const backoff = createBackoff({ firstMs: FIRST_PAUSE_MS, longestMs: LONGEST_PAUSE_MS, jitter: 0.5 });
    while (!stopped.signal.aborted) {
      await listenOnce(backoff.reset).catch(failed);
      await delay(backoff.next(), undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  }

  const poll = setInterval(() => void read(), pollSeconds * 1000);
  const listening = listenForever();
  return {
    async close() {
      clearInterval(poll);
      stopped.abort();
      await listening;
    },
  };
}
