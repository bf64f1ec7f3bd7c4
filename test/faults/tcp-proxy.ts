/** A TCP proxy between the service and Postgres that can do to their connections what networks do. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export type ProxyMode =
  | 'pass'
  /** Nobody listens: connections break and new ones are refused. */
  | 'refuse'
  /** What is sent vanishes. Connections of that time stay dead for ever; new ones pass again afterwards. */
  | 'black hole'
  /** What is sent waits and arrives when the network is back. */
  | 'freeze'
  /** Every piece arrives late, in both directions. */
  | 'delay'
  /** Connections break in the middle of what the service sends. */
  | 'cut mid-message'
  /** Every other commit is done and its confirmation is lost with the connection. */
  | 'cut at commit';

export interface TcpProxy {
  readonly port: number;
  /** The URL of the database by way of the proxy. */
  through(url: string): string;
  set(mode: ProxyMode, options?: { delayMs?: number }): Promise<void>;
  /** So many more connections pass; the next one finds nobody, and breaks the others: as `refuse`. */
  admit(connections: number): void;
  /** New connections go to the server at this URL. */
  retarget(url: string): void;
  /** From now on nothing passes on the connections that have sent this text; returns how many they are. */
  silence(sentText: string): number;
  close(): Promise<void>;
}

interface Link {
  client: Socket;
  server: Socket;
  /** What the client has sent, up to a limit, as text. */
  sent: string;
  dead: boolean;
  /** Pieces that wait for the end of `freeze`. */
  held: (() => void)[];
}

const REMEMBERED_CHARACTERS = 20_000;
/** Enough bytes for a message that can be cut in two. */
const CUT_MIN_BYTES = 200;
/** The tags with which Postgres confirms what ends a transaction here. */
const CONFIRMED = /COPY \d|COMMIT\0|INSERT 0/;

export async function createTcpProxy(targetUrl: string): Promise<TcpProxy> {
  let target = new URL(targetUrl);
  let mode: ProxyMode = 'pass';
  let delayMs = 0;
  let confirmations = 0;
  let admitted = Number.POSITIVE_INFINITY;
  const links = new Set<Link>();
  let listener = await listen(0);
  const { port } = listener.address() as AddressInfo;

  async function listen(at: number): Promise<Server> {
    const server = createServer({ noDelay: true }, accept);
    server.listen(at, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }

  function accept(client: Socket): void {
    if (admitted-- <= 0) {
      client.destroy();
      admitted = Number.POSITIVE_INFINITY;
      refuse();
      return;
    }
    const server = connect({ host: target.hostname, port: Number(target.port || 5432), noDelay: true });
    const link: Link = { client, server, sent: '', dead: mode === 'black hole', held: [] };
    links.add(link);
    for (const socket of [client, server]) {
      socket.on('error', () => undefined);
      socket.on('close', () => drop(link));
    }
    client.on('data', (bytes: Buffer) => {
      if (link.sent.length < REMEMBERED_CHARACTERS) link.sent += bytes.toString('latin1');
      if (mode === 'cut mid-message' && bytes.length >= CUT_MIN_BYTES) {
        server.write(bytes.subarray(0, bytes.length >> 1), () => drop(link));
        return;
      }
      pass(link, () => server.write(bytes));
    });
    server.on('data', (bytes: Buffer) => {
      if (mode === 'cut at commit' && CONFIRMED.test(bytes.toString('latin1')) && ++confirmations % 2 === 1) {
        drop(link);
        return;
      }
      pass(link, () => client.write(bytes));
    });
  }

  function refuse(): void {
    mode = 'refuse';
    listener.close();
    for (const link of links) drop(link);
  }

  function pass(link: Link, send: () => void): void {
    if (link.dead) return;
    if (mode === 'freeze') link.held.push(send);
    else if (mode === 'delay') setTimeout(send, delayMs);
    else send();
  }

  function drop(link: Link): void {
    if (link.dead && !link.client.destroyed && mode === 'black hole') return;
    links.delete(link);
    link.client.destroy();
    link.server.destroy();
  }

  return {
    port,
    through(url) {
      const own = new URL(url);
      own.hostname = '127.0.0.1';
      own.port = String(port);
      return own.href;
    },
    async set(next, options = {}) {
      const previous = mode;
      mode = next;
      admitted = Number.POSITIVE_INFINITY;
      delayMs = options.delayMs ?? 0;
      if (next === 'refuse') {
        refuse();
        return;
      }
      if (next === 'black hole') for (const link of links) link.dead = true;
      if (previous === 'refuse') listener = await listen(port);
      for (const link of links) for (const send of link.held.splice(0)) send();
    },
    admit(connections) {
      admitted = connections;
    },
    retarget(url) {
      target = new URL(url);
    },
    silence(sentText) {
      const chosen = [...links].filter(({ sent }) => sent.includes(sentText));
      for (const link of chosen) link.dead = true;
      return chosen.length;
    },
    async close() {
      listener.close();
      for (const { client, server } of links) {
        client.destroy();
        server.destroy();
      }
    },
  };
}
