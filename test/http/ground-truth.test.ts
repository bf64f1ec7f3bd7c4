/** Labels over HTTP: every answer of the two routes, word for word. The rules behind them are in test/ground-truth/. */
import { v4, v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSimulatedClock } from '../../src/clock.ts';
import { labelResults } from '../../src/ground-truth/label.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { scrape } from '../support/metrics.ts';
import { articleRow, type PredictAnswer, type ProblemAnswer, post } from '../support/requests.ts';

const NOW = '2026-11-22T10:00:00.000Z';
const clock = createSimulatedClock(NOW);
let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({ MAX_BATCH_ROWS: '5' }, { clock });
});
afterAll(() => app.close());

/** Predictions that are in Postgres. */
async function predict(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    ids.push(((await (await post(`${app.url}/predict`, articleRow)).json()) as PredictAnswer).prediction_id);
  }
  await eventually(async () => {
    const [found] = await app.database.query<{ rows: number }>(
      'select count(*)::int as rows from predictions where id = any($1)',
      [ids],
    );
    return found!.rows === count;
  });
  return ids;
}

const tell = (label: unknown) => post(`${app.url}/ground-truth`, label);
const tellAll = (...instances: unknown[]) => post(`${app.url}/ground-truth/batch`, { instances });
const stored = () => app.database.query('select * from ground_truth order by prediction_id');
const idAt = (hoursAgo: number) => v7({ msecs: new Date(NOW).getTime() - hoursAgo * 3_600_000 });

async function answerOf(response: Response): Promise<[status: number, body: unknown]> {
  return [response.status, await response.json()];
}

describe('POST /ground-truth', () => {
  test('tells what each label of a prediction was', async () => {
    const [prediction_id] = await predict(1);
    const said: [label: object, result: string][] = [
      [{ actual: null }, 'unchanged'],
      [{ actual: 24, observed_at: '2026-11-22T09:00:00Z' }, 'stored'],
      [{ actual: 24, observed_at: '2026-11-22T10:30:00+01:00' }, 'unchanged'],
      [{ actual: 25, observed_at: '2026-11-22T09:29:59.999Z' }, 'superseded'],
      [{ actual: 25 }, 'corrected'],
      [{ actual: null, observed_at: '2026-11-22T10:05:00Z' }, 'withdrawn'],
      [{ actual: 26, observed_at: '2026-11-22T10:05:00Z' }, 'stored'],
    ];
    for (const [label, result] of said) {
      expect(await answerOf(await tell({ prediction_id, ...label })), JSON.stringify(label)).toEqual([200, { result }]);
    }
  });

  test('takes an id in capitals for the same', async () => {
    const [prediction_id] = await predict(1);
    expect(await answerOf(await tell({ prediction_id: prediction_id!.toUpperCase(), actual: 1 }))).toEqual([
      200,
      { result: 'stored' },
    ]);
    expect(await answerOf(await tell({ prediction_id, actual: 1 }))).toEqual([200, { result: 'unchanged' }]);
  });

  test('keeps what came before its prediction, within a day', async () => {
    const response = await tell({ prediction_id: idAt(23.9), actual: 1 });
    expect(await answerOf(response)).toEqual([202, { result: 'pending' }]);
  });

  test('does not know what is not there', async () => {
    const before = await stored();
    const response = await tell({ prediction_id: idAt(24.1), actual: 1 });
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await answerOf(response)).toEqual([
      404,
      {
        type: 'urn:ridgeline:error:unknown_prediction',
        title: 'There is no such prediction',
        status: 404,
        detail: 'Send the prediction_id of an answer. It may have been dropped with its month.',
        request_id: response.headers.get('x-request-id'),
        result: 'unknown',
      },
    ]);
    expect(await stored()).toEqual(before);
  });

  test('takes the largest and the least values, and times of any year', async () => {
    const ids = await predict(3);
    const [largest, least, early] = [
      { prediction_id: ids[0], actual: 1e12 },
      { prediction_id: ids[1], actual: -1e12 },
      { prediction_id: ids[2], actual: -0, observed_at: '0000-01-01T00:00:00+23:59' },
    ];
    const results = ['stored', 'stored', 'stored'];
    expect((await answerOf(await tellAll(largest, least, early)))[1]).toMatchObject({ results });
  });
});

describe('POST /ground-truth/batch', () => {
  test('tells what each was in the order of the batch, and counts all seven', async () => {
    const [a, b] = await predict(2);
    const response = await tellAll(
      { prediction_id: a, actual: 1, observed_at: '2026-11-22T09:00:00Z' },
      { prediction_id: idAt(48), actual: 1 },
      { prediction_id: b, actual: null },
      { prediction_id: a, actual: 2 },
      { prediction_id: idAt(0), actual: 1 },
    );
    expect(await answerOf(response)).toEqual([
      200,
      {
        results: ['superseded', 'unknown', 'unchanged', 'stored', 'pending'],
        counts: {
          ...{ stored: 1, unchanged: 1, corrected: 0, superseded: 1, withdrawn: 0, pending: 1, unknown: 1 },
        },
      },
    ]);
  });
});

describe('what is refused with 422', () => {
  const id = v7({ msecs: new Date(NOW).getTime() });
  const faults: [label: unknown, pointer: string, code: string][] = [
    [{ actual: 1 }, '/prediction_id', 'missing'],
    [{ prediction_id: id }, '/actual', 'missing'],
    [{ prediction_id: v4(), actual: 1 }, '/prediction_id', 'invalid'],
    [{ prediction_id: 'nonsense', actual: 1 }, '/prediction_id', 'invalid'],
    [{ prediction_id: `${id}\0`, actual: 1 }, '/prediction_id', 'invalid'],
    [{ prediction_id: 7, actual: 1 }, '/prediction_id', 'invalid_type'],
    [{ prediction_id: null, actual: 1 }, '/prediction_id', 'invalid_type'],
    [{ prediction_id: id, actual: '24' }, '/actual', 'invalid_type'],
    [{ prediction_id: id, actual: true }, '/actual', 'invalid_type'],
    [{ prediction_id: id, actual: 1.0001e12 }, '/actual', 'out_of_range'],
    [{ prediction_id: id, actual: -1e300 }, '/actual', 'out_of_range'],
    [{ prediction_id: id, actual: 1, observed_at: '2026-11-22T10:05:00.001Z' }, '/observed_at', 'out_of_range'],
    [{ prediction_id: id, actual: 1, observed_at: '9999-12-31T23:59:59Z' }, '/observed_at', 'out_of_range'],
    [{ prediction_id: id, actual: 1, observed_at: '2026-11-22T10:00:00' }, '/observed_at', 'invalid'],
    [{ prediction_id: id, actual: 1, observed_at: '2026-02-30T10:00:00Z' }, '/observed_at', 'invalid'],
    [{ prediction_id: id, actual: 1, observed_at: 1763805600 }, '/observed_at', 'invalid_type'],
    [{ prediction_id: id, actual: 1, observed_at: null }, '/observed_at', 'invalid_type'],
    [{ prediction_id: id, actual: 1, weight: 2 }, '/weight', 'unknown_field'],
    [{ prediction_id: id, actual: 1, '<script>': 2 }, '', 'unknown_field'],
    [[], '', 'invalid_type'],
    [null, '', 'invalid_type'],
    ['text', '', 'invalid_type'],
  ];

  const problem = (pointer: string, code: string) =>
    expect.objectContaining({
      type: 'urn:ridgeline:error:invalid_ground_truth',
      status: 422,
      errors: [{ pointer, code, message: expect.stringMatching(/\.$/) }],
    });

  test.each(faults)('a label that is %j', async (label, pointer, code) => {
    const before = await stored();
    // Strings are sent as the JSON that they are.
    const sent = typeof label === 'string' ? JSON.stringify(label) : label;
    expect(await answerOf(await tell(sent))).toEqual([422, problem(pointer, code)]);
    const [other] = await predict(1);
    const batch = await tellAll({ prediction_id: other, actual: 1 }, label);
    expect(await answerOf(batch)).toEqual([422, problem(`/instances/1${pointer}`, code)]);
    expect(await stored()).toEqual(before);
  });

  test.each([
    ['{"prediction_id": "x", "actual": 1e400}', '/actual'],
    [`{"prediction_id": "${id}", "actual": 1, "actual": 2}`, '/actual'],
  ])('the text %s', async (text, pointer) => {
    const { type, errors } = (await (await tell(text)).json()) as ProblemAnswer;
    expect(type).toBe('urn:ridgeline:error:invalid_ground_truth');
    expect(errors!.map((error) => error.pointer)).toContain(pointer);
  });

  test('a misspelt name, with the one that is meant', async () => {
    const body = (await (await tell({ predicton_id: id, actual: 1 })).json()) as ProblemAnswer;
    expect(body.errors!.map(({ pointer, code }) => [pointer, code])).toEqual([
      ['/prediction_id', 'missing'],
      ['/predicton_id', 'unknown_field'],
    ]);
    expect(body.errors![1]!.message).toContain('did you mean prediction_id?');
  });

  test('several faults, each with its place, up to 20 of them', async () => {
    const response = await tellAll(
      { prediction_id: id, actual: 'x' },
      { prediction_id: id, actual: 1 },
      { actual: 1e13 },
    );
    const { errors, errors_truncated } = (await response.json()) as ProblemAnswer;
    expect(errors!.map(({ pointer }) => pointer)).toEqual([
      ...['/instances/0/actual', '/instances/2/prediction_id', '/instances/2/actual'],
    ]);
    expect(errors_truncated).toBeUndefined();
    const unknown = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`x${i}`, i]));
    const many = (await (await tellAll({ prediction_id: id, actual: 1, ...unknown })).json()) as ProblemAnswer;
    expect(many.errors).toHaveLength(20);
    expect(many.errors_truncated).toBe(true);
  });

  test.each<[body: unknown, pointer: string, code: string]>([
    [{ instances: [] }, '/instances', 'out_of_range'],
    [{ instances: Array(6).fill({ prediction_id: id, actual: 1 }) }, '/instances', 'out_of_range'],
    [{ instances: { prediction_id: id, actual: 1 } }, '/instances', 'invalid_type'],
    [{}, '/instances', 'missing'],
    [
      { prediction_id: id, actual: 1, instances: [{ prediction_id: id, actual: 1 }] },
      '/prediction_id',
      'unknown_field',
    ],
  ])('the batch %j', async (body, pointer, code) => {
    const { type, errors } = (await (await post(`${app.url}/ground-truth/batch`, body)).json()) as ProblemAnswer;
    expect(type).toBe('urn:ridgeline:error:invalid_ground_truth');
    expect(errors![0]).toMatchObject({ pointer, code });
  });

  test.each(['/ground-truth', '/ground-truth/batch'])(
    'a parameter of %s that there is not, and no body at all',
    async (path) => {
      const label = { prediction_id: id, actual: 1 };
      const response = await post(
        `${app.url}${path}?dry_run=1`,
        path.endsWith('batch') ? { instances: [label] } : label,
      );
      expect(await answerOf(response)).toEqual([
        422,
        expect.objectContaining({
          type: 'urn:ridgeline:error:invalid_parameters',
          errors: [{ parameter: 'dry_run', code: 'unknown_parameter', message: expect.any(String) }],
        }),
      ]);
      const without = await fetch(app.url + path, { method: 'POST' });
      expect(without.status).toBe(422);
      expect(((await without.json()) as ProblemAnswer).type).toBe('urn:ridgeline:error:invalid_ground_truth');
    },
  );
});

test('what is no JSON is a 400 with its place, and another type of body a 415', async () => {
  const response = await tell('{"actual": }');
  expect(await answerOf(response)).toEqual([
    400,
    expect.objectContaining({ detail: expect.stringContaining('At line 1, column 12 (/actual)') }),
  ]);
  const typed = await post(`${app.url}/ground-truth`, '{}', { 'content-type': 'text/plain' });
  expect(typed.status).toBe(415);
});

test('the document has every answer, with examples', async () => {
  interface Media {
    example?: unknown;
    examples?: unknown;
    schema: { examples?: unknown; required: string[] };
  }
  const { paths } = (await (await fetch(`${app.url}/docs/json`)).json()) as {
    paths: Record<string, { post: { responses: Record<string, { content: Record<string, Media> }> } }>;
  };
  const responsesOf = (path: string) => paths[path]!.post.responses;
  const common = ['200', '400', '409', '413', '415', '422', '503'];
  expect(Object.keys(responsesOf('/ground-truth')).sort()).toEqual([...common, '202', '404'].sort());
  expect(Object.keys(responsesOf('/ground-truth/batch')).sort()).toEqual(common);
  for (const path of ['/ground-truth', '/ground-truth/batch']) {
    for (const [status, { content }] of Object.entries(responsesOf(path))) {
      const type = Number(status) < 300 ? 'application/json' : 'application/problem+json';
      const { example, examples, schema } = content[type]!;
      expect(example ?? examples ?? schema.examples, `${path} ${status}`).toBeTruthy();
    }
  }
  const { schema } = responsesOf('/ground-truth')['404']!.content['application/problem+json']!;
  expect(schema.required).toContain('result');
  expect(schema.examples).toMatchObject([{ status: 404, result: 'unknown' }]);
});

test('other methods are a 405 that names the one there is', async () => {
  const response = await fetch(`${app.url}/ground-truth`);
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
});

test('labels and refusals are counted', async () => {
  const before = await scrape(app.url);
  const [prediction_id] = await predict(1);
  const observed_at = NOW;
  await tellAll({ prediction_id, actual: 1, observed_at }, { prediction_id: idAt(48), actual: 1 });
  await tell({ prediction_id, actual: 2, observed_at });
  await tell({ prediction_id: idAt(48), actual: 2 });
  await tell({});
  const after = await scrape(app.url);
  const grown = (name: string, label: string) => after.sum(name, label) - before.sum(name, label);
  const results = labelResults.map((result) => grown('ridgeline_ground_truth_labels_total', `"${result}"`));
  expect(Object.fromEntries(labelResults.map((result, i) => [result, results[i]]))).toEqual({
    ...{ stored: 1, unchanged: 0, corrected: 1, superseded: 0, withdrawn: 0, pending: 0, unknown: 2 },
  });
  expect(grown('ridgeline_refusals_total', '"invalid_ground_truth"')).toBe(1);
  expect(grown('ridgeline_refusals_total', '"unknown_prediction"')).toBe(1);
  expect(grown('ridgeline_http_requests_total', 'route="/ground-truth",')).toBe(3);
});
