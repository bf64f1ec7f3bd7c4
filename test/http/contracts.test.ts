/** What callers see of a swap to a pipeline that takes other rows. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Contract } from '../../src/contract/contract.ts';
import { exampleRow } from '../../src/contract/rows.ts';
import { housing } from '../../src/housing/features.ts';
import type { NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { bothWays, startTestApp, type TestApp } from '../support/app.ts';
import { contractOf, loadWines, wines } from '../support/declaration.ts';
import { eventually } from '../support/eventually.ts';
import { articleAnswer, articleRow, type PredictAnswer, type ProblemAnswer, post } from '../support/requests.ts';

const cellars = contractOf(
  [
    { name: 'sugar', dtype: 'float64', description: 'Residual sugar', example: 1.25 },
    { name: 'acidity', dtype: 'float64', optional: true },
  ],
  { name: 'rating' },
);

const ofWines = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 });
const ofCellars = trainCellars();

function trainCellars(): NewPipeline {
  const { X, y } = loadWines();
  const from = cellars.names.map((name) => wines.names.indexOf(name));
  const data = Float64Array.from({ length: 2 * X.rows }, (_, i) => X.data[(i >> 1) * X.columns + from[i % 2]!]!);
  return trainPipeline({ X: { rows: X.rows, columns: 2, data }, y }, { contract: cellars, alpha: 1, seed: 0 });
}

/** The first golden row as it is sent, and what must be answered. */
function goldenOf({ goldenRows }: NewPipeline, { names }: Contract): { row: object; answer: number } {
  const [values] = goldenRows.features;
  return { row: Object.fromEntries(names.map((name, i) => [name, values![i]])), answer: goldenRows.predictions[0]! };
}

/** As the client of Postgres gives it back: a bigint as a text. */
const storedAs =
  ({ columns }: Contract) =>
  (value: unknown, i: number) =>
    columns[i]!.type === 'bigint' ? String(value) : value;

describe.each(bothWays)('%s', (_way, options) => {
  let app: TestApp;
  /** What the hook of a plugin waits for, when rows have been read and are not yet run. */
  let hookEnds: Promise<void> | undefined;
  let waiting = 0;
  beforeAll(async () => {
    const extend = (http: FastifyInstance) =>
      http.addHook('preHandler', async () => {
        waiting++;
        await hookEnds;
      });
    app = await startTestApp({}, { ...options, publishesFirst: false, extend });
  });
  afterAll(() => app.close());

  /** The schema of a body of a route, and the example beside it. */
  async function documented(path: string): Promise<{ properties: object; example: unknown; description: string }> {
    const document = (await (await fetch(`${app.url}/docs/json`)).json()) as {
      info: { description: string };
      paths: Record<
        string,
        { post: { requestBody: { content: Record<string, { schema: unknown; example: unknown }> } } }
      >;
    };
    const { schema, example } = document.paths[path]!.post.requestBody.content['application/json']!;
    return { ...(schema as { properties: object }), example, description: document.info.description };
  }

  async function expectServed(pipeline: NewPipeline, contract: Contract): Promise<void> {
    const { row, answer } = goldenOf(pipeline, contract);
    const one = (await (await post(`${app.url}/predict`, row)).json()) as PredictAnswer;
    expect(one.prediction).toBeCloseTo(answer, 9);
    const many = await (await post(`${app.url}/predict/batch`, { instances: [row, row] })).json();
    expect((many as { predictions: number[] }).predictions).toEqual([one.prediction, one.prediction]);
    const stored = await eventually(async () => {
      const columns = contract.columns.map(({ name }) => `"${name}"`).join();
      const [found] = await app.database.query(`select ${columns}, prediction from predictions where id = $1`, [
        one.prediction_id,
      ]);
      return found;
    });
    expect(Object.values(stored)).toEqual([...Object.values(row).map(storedAs(contract)), one.prediction]);
    const { properties, example } = await documented('/predict');
    expect(Object.keys(properties)).toEqual(contract.names);
    expect(example).toEqual(exampleRow(contract));
    expect((await documented('/predict/batch')).example).toEqual({ instances: [exampleRow(contract)] });
  }

  test.each(['/predict', '/predict/batch'])(
    'without a pipeline %s is 503 before its body is waited for',
    async (path) => {
      const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"half`,
      );
      const [answer] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 503 .*retry-after: \d.*urn:ridgeline:error:no_pipeline/is);
    },
  );

  test('without a pipeline the docs show the contract that ships', async () => {
    const { properties, description } = await documented('/predict');
    expect(Object.keys(properties)).toEqual(housing.names);
    expect(description).toContain(housing.declaration.description);
  });

  test('each version is asked and documented by its own contract, there and back', async () => {
    await app.publish(ofWines);
    await expectServed(ofWines, wines);
    await app.publish(ofCellars);
    await expectServed(ofCellars, cellars);
    await app.publish(ofWines);
    await expectServed(ofWines, wines);
  });

  test('rows that wait in a hook while the contract changes are answered by the version that they were read for', async () => {
    const version = await app.publish(ofWines);
    const { row, answer } = goldenOf(ofWines, wines);
    let endHook!: () => void;
    hookEnds = new Promise((resolve) => (endHook = resolve));
    const before = waiting;
    const late = post(`${app.url}/predict`, row);
    await eventually(async () => waiting > before);
    await app.publish(ofCellars);
    endHook();
    hookEnds = undefined;
    expect(await (await late).json()).toMatchObject({
      prediction: expect.closeTo(answer, 9),
      model_version: version,
    });
    await expectServed(ofCellars, cellars);
  });

  test('rows of the contract before are refused by their names', async () => {
    await app.publish(ofWines);
    const refused = await post(`${app.url}/predict`, { ...goldenOf(ofWines, wines).row, ...articleRow });
    expect(refused.status).toBe(422);
    const { errors } = (await refused.json()) as ProblemAnswer;
    expect(errors!.map(({ pointer, code }) => [pointer, code])).toEqual(
      housing.names.map((name) => [`/${name}`, 'unknown_field']),
    );
  });
});

test('rows that a server of the version before stores keep going into the table that has got wider', async () => {
  const app = await startTestApp();
  await app.publish(ofCellars);
  const names = Object.keys(articleRow).map((name) => name.toLowerCase());
  await app.database.query(
    `insert into predictions (id, ${names.join(', ')}, prediction, pipeline_version, created_at)
     values (gen_random_uuid(), ${Object.values(articleRow).join(', ')}, 28.4, '2026_11_20__10_00_00', now())`,
  );
  expect(await app.database.query('select crim, lstat, sugar from predictions')).toEqual([
    { crim: articleRow.CRIM, lstat: articleRow.LSTAT, sugar: null },
  ]);
  await app.close();
});

test('the pipeline that a start publishes is replaced, and comes back', async () => {
  const app = await startTestApp();
  const first = app.app.served()!.pipelineVersion;
  await app.publish(ofCellars);
  expect((await post(`${app.url}/predict`, articleRow)).status).toBe(422);
  await app.database.query(
    `insert into ml_pipeline_promotion (pipeline_version, promoted_by, reason) values ($1, 'me', 'roll back')`,
    [first],
  );
  await app.database.query('notify ridgeline_promotion');
  await expect
    .poll(async () => (await post(`${app.url}/predict`, articleRow)).json(), { timeout: 5000 })
    .toMatchObject({ prediction: expect.closeTo(articleAnswer, 6), model_version: first });
  await app.close();
});
