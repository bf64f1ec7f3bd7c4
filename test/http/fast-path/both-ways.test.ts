/** One request to two services, of which one does everything the plain way: their answers are the same, byte for byte. */
import { once } from 'node:events';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Contract } from '../../../src/contract/contract.ts';
import { exampleRow } from '../../../src/contract/rows.ts';
import { housing } from '../../../src/housing/features.ts';
import { trainPipeline } from '../../../src/training/train.ts';
import { anyJsonOf, anyRowOf } from '../../support/any-json.ts';
import { startTestApp, type TestApp } from '../../support/app.ts';
import { everyType, loadHomes } from '../../support/declaration.ts';

const MAX_BATCH_ROWS = 3;
const BODY_LIMIT = 2048;
const settings = {
  MAX_BATCH_ROWS: String(MAX_BATCH_ROWS),
  BODY_LIMIT_BYTES: String(BODY_LIMIT),
  EXPOSE_MODEL_VERSION: 'false',
};

interface Sent {
  path: string;
  headers: string[];
  body: Buffer;
  isChunked: boolean;
}

const batch = (...rows: string[]) => `{"instances":[${rows.join(',')}]}`;

/** What no contract takes. */
const wrongOfAny = fc.oneof(
  fc.constantFrom('', ' ', '{}', '[]', 'null', '"text"', batch(), ' '.repeat(BODY_LIMIT), ' '.repeat(BODY_LIMIT + 1)),
  fc.json({ maxDepth: 3 }),
);

/** Rows that are right, and those with faults of every kind. */
const house = JSON.stringify(exampleRow(housing));
const home = JSON.stringify({ ...exampleRow(everyType), heating: null });
const bodies: Record<string, { contract: Contract; right: fc.Arbitrary<string>; wrong: fc.Arbitrary<string> }> = {
  numbers: {
    contract: housing,
    right: fc.constantFrom(house, batch(house), batch(house, house, house), `\uFEFF${house}`),
    wrong: fc.constantFrom(
      batch(house, house, house, house),
      house.replace('"RM"', '"\\u0052M"'),
      house.replace('6.575', '6.575e0'),
      house.replace('6.575', '1e308'),
      house.replace('6.575', 'NaN'),
      house.replace('6.575', '"6.575"'),
      house.replace('{', '{"RM":1,'),
      house.replace('{', '{"__proto__":{"a":1},'),
      batch(house, house.replace('6.575', '1e308'), '{}'),
      batch(house.replace('296', 'null'), house),
    ),
  },
  'every type': {
    contract: everyType,
    right: fc.array(anyRowOf(everyType).chain(anyJsonOf), { minLength: 1, maxLength: 3 }).map((rows) => batch(...rows)),
    wrong: fc.constantFrom(
      home.replace('71.5', '-1'),
      home.replace('71.5', '"71.5"'),
      home.replace('"Wola"', '1'),
      home.replace('"Wola"', '"a\\u0000b"'),
      home.replace('"Wola"', '"\\ud83d"'),
      home.replace('"heating":null', '"heating":"coal"'),
      home.replace('"heating":null', '"heating":"gas","heatin\\u0067":"gas"'),
      home.replace('"heating":null', '"Heating":"gas"'),
      home.replace('true', '1'),
      home.replace(':3,', ':3.5,'),
      batch(home, '{}', home),
    ),
  },
};

const change = fc.record({ at: fc.nat(), removed: fc.nat(3), added: fc.uint8Array({ maxLength: 2 }) });
const changes = fc.oneof(fc.constant([]), fc.array(change, { maxLength: 2 }));
const changed = (text: fc.Arbitrary<string>) =>
  fc.tuple(text, changes).map(([original, made]) =>
    made.reduce((bytes, { at, removed, added }) => {
      const place = at % (bytes.length + 1);
      return Buffer.concat([bytes.subarray(0, place), added, bytes.subarray(place + removed)]);
    }, Buffer.from(original)),
  );
const type = fc.oneof(
  { weight: 8, arbitrary: fc.constant('content-type: application/json') },
  fc.constantFrom('content-type: application/json; charset=utf-8', 'content-type: text/plain', 'x-no-type: at all'),
);
const path = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('/predict', '/predict/batch') },
  fc.constantFrom('/predict?', '/predict?interval=0.9', '/predict/batch?a=1&a=2&%3Cb%3E', '/nope'),
);
const encoding = fc.oneof(
  { weight: 8, arbitrary: fc.constant<string[]>([]) },
  fc.constantFrom(['content-encoding: gzip'], ['expect: 100-continue']),
);
const requestOf = (body: fc.Arbitrary<Buffer>): fc.Arbitrary<Sent> =>
  fc
    .record({ path, type, encoding, body, isChunked: fc.boolean() })
    .map(({ type: typeLine, encoding: lines, ...rest }) => ({ ...rest, headers: [typeLine, ...lines] }));

const ID = /"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"/g;

/** The answer without what differs from one moment to the next, its headers in alphabetical order. */
async function answerOf({ url }: TestApp, { path, headers, body, isChunked }: Sent): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let received = '';
  socket.on('data', (piece) => {
    received += piece.toString('latin1');
  });
  const length = isChunked ? 'transfer-encoding: chunked' : `content-length: ${body.length}`;
  const lines = [`POST ${path} HTTP/1.1`, 'host: x', 'x-request-id: the-same', 'connection: close', length, ...headers];
  const ended = once(socket, 'close');
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  if (isChunked && body.length > 0) socket.write(Buffer.concat([chunkHead(body), body, Buffer.from('\r\n')]));
  socket.write(isChunked ? '0\r\n\r\n' : body);
  await ended;
  const [head, ...rest] = received.replace('HTTP/1.1 100 Continue\r\n\r\n', '').split('\r\n\r\n');
  const [status, ...fields] = head!.replace(/\r\ndate: [^\r]*/i, '').split('\r\n');
  return [status, ...fields.map((field) => field.toLowerCase()).sort(), rest.join('\r\n\r\n').replace(ID, 'ID')].join(
    '\n',
  );
}

function chunkHead(bytes: Buffer): Buffer {
  return Buffer.from(`${bytes.length.toString(16)}\r\n`);
}

describe.each(Object.entries(bodies))('of %s', (_name, { contract, right, wrong }) => {
  let fast: TestApp;
  let plain: TestApp;
  beforeAll(async () => {
    const publishesFirst = contract === housing;
    fast = await startTestApp(settings, { publishesFirst });
    plain = await startTestApp(settings, { publishesFirst, fastPath: false });
    if (publishesFirst) return;
    const pipeline = trainPipeline(loadHomes(), { contract, alpha: 1, seed: 0 });
    await Promise.all([fast.publish(pipeline), plain.publish(pipeline)]);
  });
  afterAll(() => Promise.all([fast.close(), plain.close()]));

  test('to 500 requests, good and bad', async () => {
    const request = requestOf(changed(fc.oneof({ weight: 3, arbitrary: right }, wrong, wrongOfAny)));
    const statuses = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(request, async (sent) => {
        const [byFast, byPlain] = await Promise.all([answerOf(fast, sent), answerOf(plain, sent)]);
        expect(byFast).toBe(byPlain);
        const status = byFast.slice(9, 12);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }),
      { numRuns: 500, seed: 20_261_126 },
    );
    expect([...statuses.keys()].sort()).toEqual(['200', '400', '404', '413', '415', '422']);
    expect(statuses.get('200')).toBeGreaterThan(30);
  });
});
