import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bothWays, startTestApp, type TestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { articleAnswer, articleRow, type PredictAnswer, type ProblemAnswer, post } from '../support/requests.ts';

describe.each(bothWays)('%s', (_way, options) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({}, options);
  });
  afterAll(() => app.close());

  const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

  async function predict(row: unknown): Promise<[number, PredictAnswer & ProblemAnswer]> {
    const response = await post(`${app.url}/predict`, row);
    return [response.status, (await response.json()) as PredictAnswer & ProblemAnswer];
  }

  describe('POST /predict', () => {
    test("answers the article's row as scikit-learn does, with an id and the version", async () => {
      const [status, answer] = await predict(articleRow);
      expect(status).toBe(200);
      expect(Object.keys(answer)).toEqual(['prediction', 'prediction_id', 'model_version']);
      expect(Math.abs(answer.prediction - articleAnswer)).toBeLessThan(1e-9);
      expect(answer.prediction_id).toMatch(UUID_V7);
      expect(answer.model_version).toBe(app.app.served()?.pipelineVersion);
    });

    test('does not depend on the order of the keys', async () => {
      const reversed = Object.fromEntries(Object.entries(articleRow).reverse());
      const [, answer] = await predict(reversed);
      expect(Math.abs(answer.prediction - articleAnswer)).toBeLessThan(1e-9);
    });

    test.each([
      ['a name with an escape', (text: string) => text.replace('"RM"', '"\\u0052M"')],
      ['numbers with an exponent', (text: string) => text.replace('6.575', '0.6575e1')],
      ['spread over lines', (text: string) => JSON.stringify(JSON.parse(text), null, '\t')],
    ])('takes %s, alone and in a batch', async (_name, write) => {
      const text = write(JSON.stringify(articleRow));
      const [status, answer] = await predict(text);
      expect(status).toBe(200);
      expect(Math.abs(answer.prediction - articleAnswer)).toBeLessThan(1e-9);
      const batch = await post(`${app.url}/predict/batch`, `{"instances":[${text}, ${text}]}`);
      const { predictions } = (await batch.json()) as { predictions: number[] };
      expect(predictions).toHaveLength(2);
      for (const prediction of predictions) expect(Math.abs(prediction - articleAnswer)).toBeLessThan(1e-9);
    });

    test('takes categories that training has never seen', async () => {
      const [status] = await predict({ ...articleRow, RAD: 99, CHAS: -7 });
      expect(status).toBe(200);
    });

    test('names every faulty field of the row at once', async () => {
      const { RM: _missing, ...rest } = articleRow;
      const [status, problem] = await predict({ ...rest, CRIM: '1', CHAS: 0.5, TAX: null, typo: 1 });
      expect(status).toBe(422);
      expect(problem.errors?.map(({ pointer, code }) => [pointer, code])).toEqual([
        ['/CRIM', 'invalid_type'],
        ['/CHAS', 'invalid_type'],
        ['/RM', 'missing'],
        ['/TAX', 'invalid_type'],
        ['/typo', 'unknown_field'],
      ]);
      expect(problem).not.toHaveProperty('errors_truncated');
    });

    test('sends a batch to its route instead of listing what it lacks as a row', async () => {
      const [status, problem] = await predict({ instances: [articleRow] });
      expect(status).toBe(422);
      expect(problem.errors).toEqual([
        { pointer: '/instances', code: 'unknown_field', message: expect.stringContaining('POST /predict/batch') },
      ]);
    });

    test('says at once that a category must be a whole number, whatever was sent', async () => {
      const { RAD: _missing, ...rest } = articleRow;
      for (const wrong of ['zero', 0.5, null, true]) {
        const [, problem] = await predict({ ...rest, CHAS: wrong });
        expect(problem.errors).toEqual([
          { pointer: '/CHAS', code: 'invalid_type', message: 'Send a whole number.' },
          { pointer: '/RAD', code: 'missing', message: 'This field is required: send a whole number.' },
        ]);
      }
      const [, problem] = await predict({ ...articleRow, CRIM: 'much' });
      expect(problem.errors).toEqual([{ pointer: '/CRIM', code: 'invalid_type', message: 'Send a finite number.' }]);
    });

    test.each([
      ['a string', '"x"'],
      ['null', 'null'],
      ['an array', '[]'],
      ['true', 'true'],
      ['a key that would reach the prototype', JSON.stringify(articleRow).replace('{', '{"__proto__":{"x":1},')],
      ['a key called constructor', JSON.stringify(articleRow).replace('{', '{"constructor":{"prototype":{}},')],
      ['a number that JSON reads as infinite', JSON.stringify(articleRow).replace('6.575', '1e999')],
      ['a whole number past 2^53', JSON.stringify(articleRow).replace('"RAD":1', '"RAD":9007199254740993')],
    ])('answers 422 for %s', async (_name, body) => {
      const [status, problem] = await predict(body);
      expect([status, problem.type]).toEqual([422, 'urn:ridgeline:error:invalid_features']);
      expect(problem.errors).not.toHaveLength(0);
    });

    test('answers 422 when the prediction overflows, and stores nothing', async () => {
      const [status, problem] = await predict({ ...articleRow, RM: 1e308 });
      expect([status, problem.type]).toEqual([422, 'urn:ridgeline:error:outside_model_domain']);
      expect(await app.database.query('select 1 from predictions where rm = 1e308')).toEqual([]);
    });

    test('lists at most 20 faults and says that there are more', async () => {
      const extra = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`extra_${i}`, i]));
      const [, problem] = await predict({ ...articleRow, ...extra });
      expect(problem.errors).toHaveLength(20);
      expect(problem.errors_truncated).toBe(true);
    });

    test('does not send back what was sent', async () => {
      const response = await post(`${app.url}/predict`, { ...articleRow, RM: 'secret-value', 'secret key!': 1 });
      expect(await response.text()).not.toContain('secret');
    });
  });

  describe('POST /predict/batch', () => {
    test('answers in order and agrees with single predictions', async () => {
      const instances = [articleRow, { ...articleRow, RM: 5 }, { ...articleRow, RAD: 24 }];
      const response = await post(`${app.url}/predict/batch`, { instances });
      const answer = (await response.json()) as Record<string, unknown[]>;
      expect(response.status).toBe(200);
      expect(Object.keys(answer)).toEqual(['predictions', 'prediction_ids', 'model_version']);
      const singles = await Promise.all(instances.map(predict));
      singles.forEach(([, { prediction }], i) => {
        expect(Math.abs((answer.predictions![i] as number) - prediction)).toBeLessThan(1e-9);
      });
      expect(new Set(answer.prediction_ids).size).toBe(3);
    });

    test('takes MAX_BATCH_ROWS rows and refuses one more or none', async () => {
      const send = async (rows: number) =>
        (await post(`${app.url}/predict/batch`, { instances: Array(rows).fill(articleRow) })).status;
      expect([await send(1000), await send(1001), await send(0)]).toEqual([200, 422, 422]);
    });

    test('points at the row and the field', async () => {
      const response = await post(`${app.url}/predict/batch`, { instances: [articleRow, { ...articleRow, RM: 'x' }] });
      const problem = (await response.json()) as ProblemAnswer;
      expect(problem.errors).toEqual([
        { pointer: '/instances/1/RM', code: 'invalid_type', message: expect.any(String) },
      ]);
    });

    test('points at the rows whose prediction overflows', async () => {
      const instances = [articleRow, { ...articleRow, RM: 1e308 }];
      const problem = (await (await post(`${app.url}/predict/batch`, { instances })).json()) as ProblemAnswer;
      expect(problem.errors?.map(({ pointer }) => pointer)).toEqual(['/instances/1']);
    });

    test('answers a thousand empty rows with a short list', async () => {
      const response = await post(`${app.url}/predict/batch`, { instances: Array(1000).fill({}) });
      const text = await response.text();
      expect(response.status).toBe(422);
      expect(text.length).toBeLessThan(8192);
    });
  });

  describe('the prediction log', () => {
    test('stores every prediction once, with its id, features, version and time', async () => {
      const answers = await Promise.all(
        Array.from({ length: 1000 }, async (_, i) => {
          const [status, { prediction_id, prediction }] = await predict({ ...articleRow, CRIM: 5000 + i / 7 });
          expect(status).toBe(200);
          return { id: prediction_id, crim: 5000 + i / 7, prediction };
        }),
      );
      const rows = await eventually(async () => {
        const found = await app.database.query<{ id: string; crim: number; prediction: number }>(
          'select * from predictions where crim >= 5000',
        );
        return found.length >= 1000 && found;
      });
      const stored = new Map(rows.map((row) => [row.id, row]));
      expect(rows).toHaveLength(1000);
      for (const { id, crim, prediction } of answers) expect(stored.get(id)).toMatchObject({ crim, prediction });
      const row = rows[0] as unknown as Record<string, unknown>;
      expect(row.pipeline_version).toBe(app.app.served()?.pipelineVersion);
      expect(Math.abs((row.created_at as Date).getTime() - Date.now())).toBeLessThan(60_000);
      expect(Number.parseInt((row.id as string).replaceAll('-', '').slice(0, 12), 16)).toBe(
        (row.created_at as Date).getTime(),
      );
    });

    test('stores the outermost numbers as they were sent', async () => {
      const outermost = { ...articleRow, CRIM: 5e-324, ZN: -0.1, TAX: 2.5e-308, RAD: -9007199254740991 };
      const [, { prediction_id }] = await predict(outermost);
      const [row] = await eventually(async () => {
        const found = await app.database.query('select * from predictions where id = $1', [prediction_id]);
        return found.length > 0 && found;
      });
      expect(row).toMatchObject({ crim: 5e-324, zn: -0.1, tax: 2.5e-308, rad: '-9007199254740991' });
    });
  });
});
