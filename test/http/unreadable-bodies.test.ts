/** Bodies that no row can be read from, or that can be read in two ways: what their senders are told. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bothWays, startTestApp, type TestApp } from '../support/app.ts';
import { articleAnswer, articleRow, type PredictAnswer, type ProblemAnswer } from '../support/requests.ts';

describe.each(bothWays)('%s', (_way, options) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({}, options);
  });
  afterAll(() => app.close());

  const row = JSON.stringify(articleRow);
  const batch = (...rows: string[]) => `{"instances":[${rows.join(',')}]}`;

  async function send(path: string, body: string | Buffer, type = 'application/json') {
    const headers = { 'content-type': type };
    const response = await fetch(app.url + path, { method: 'POST', headers, body: body as string });
    return { status: response.status, answer: (await response.json()) as ProblemAnswer & PredictAnswer };
  }

  describe('a body with a byte order mark', () => {
    const marked = (text: string) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]);

    test.each([
      ['as programs send it', row],
      ['of which the general way reads the rows', row.replace('"RM"', '"\\u0052M"')],
    ])('is read without it, %s', async (_name, body) => {
      expect((await send('/predict', marked(body))).answer.prediction).toBeCloseTo(articleAnswer, 9);
      expect((await send('/predict/batch', marked(batch(body, body)))).status).toBe(200);
    });

    test('and nothing else is empty', async () => {
      expect((await send('/predict', marked(''))).answer).toMatchObject({ status: 400, detail: /body is empty/ });
    });
  });

  describe('a body in another encoding', () => {
    const bigEndian = (text: string) => Buffer.from(text, 'utf16le').swap16();
    test.each([
      ['UTF-16 with a mark', Buffer.from(`\uFEFF${row}`, 'utf16le')],
      ['UTF-16', Buffer.from(row, 'utf16le')],
      ['UTF-16, the other way round, with a mark', bigEndian(`\uFEFF${row}`)],
      ['UTF-16, the other way round', bigEndian(row)],
    ])('is told so: %s', async (_name, body) => {
      const { status, answer } = await send('/predict', body);
      expect(status).toBe(400);
      expect(answer.detail).toBe(
        'At line 1, column 1: the body is in UTF-16 or UTF-32, not in UTF-8. Send one JSON object encoded in UTF-8.',
      );
    });

    test('is told where it is no UTF-8', async () => {
      const { status, answer } = await send('/predict', Buffer.from('{"é": 1,\n "caf\xe9": 1}', 'latin1'));
      expect(status).toBe(400);
      expect(answer.detail).toContain('At line 1, column 3: this is not encoded in UTF-8.');
    });
  });

  describe('a body that is no JSON', () => {
    test('is told where and why, in a batch with the row', async () => {
      const { status, answer } = await send('/predict/batch', batch(row, row.replace('"RM":6.575', '"RM":NaN')));
      expect(status).toBe(400);
      const column = 14 + row.length + 1 + row.indexOf('6.575') + 1;
      expect(answer.detail).toBe(
        `At line 1, column ${column} (/instances/1/RM): JSON has no NaN and no Infinity; send a finite number. Send one JSON object encoded in UTF-8.`,
      );
      expect(answer.errors).toEqual([
        {
          pointer: '/instances/1/RM',
          code: 'unreadable',
          message: 'JSON has no NaN and no Infinity; send a finite number.',
        },
      ]);
    });

    test('names lines as editors do', async () => {
      const { answer } = await send('/predict', JSON.stringify(articleRow, null, 2).replace(/\n\}$/, ',\n}'));
      expect(answer.detail).toMatch(/^At line 15, column 1: a comma stands before the closing brace; remove it\./);
    });

    test('is never sent back, not in pieces either', async () => {
      for (const body of [
        '{"secret": secret}',
        'secret',
        '{"RM": "secret',
        "{'secret': 1}",
        '{"secret" 1}',
        '{"<secret>": NaN}',
      ]) {
        const { status, answer } = await send('/predict', body);
        expect(status).toBe(400);
        expect(JSON.stringify(answer)).not.toContain('secret');
      }
    });
  });

  describe('a field that is there twice', () => {
    const duplicate = (pointer: string) => ({ pointer, code: 'duplicate_field', message: expect.any(String) });
    const twice = (name: string) => `{"${name}":1,${row.slice(1)}`;

    test.each([
      ['a feature', '/predict', twice('CRIM'), ['/CRIM']],
      ['a feature with the same value', '/predict', twice('CHAS').replace('"CHAS":1', '"CHAS":0'), ['/CHAS']],
      ['a feature in another spelling', '/predict', twice('\\u0043RIM'), ['/CRIM']],
      ['a feature in a batch', '/predict/batch', batch(row, twice('RM')), ['/instances/1/RM']],
      ['the instances', '/predict/batch', `{"instances":[${row}],"instances":[${row}]}`, ['/instances']],
    ])('is refused with its pointer: %s', async (_name, path, body, pointers) => {
      const { status, answer } = await send(path, body);
      expect(status).toBe(422);
      expect(answer.errors).toEqual(pointers.map(duplicate));
    });

    test('is told beside other faults', async () => {
      const { answer } = await send(
        '/predict',
        `{"CRIM":1,"CRIM":2,"x":1,"x":{"y":1,"y":2},"__proto__":1,"__proto__":2}`,
      );
      expect(answer.errors?.filter(({ code }) => code === 'duplicate_field')).toEqual(
        ['/CRIM', '/x', '/x/y', '/__proto__'].map(duplicate),
      );
      expect(answer.errors).toContainEqual(expect.objectContaining({ pointer: '/ZN', code: 'missing' }));
      expect(answer.errors).toContainEqual(expect.objectContaining({ pointer: '/x', code: 'unknown_field' }));
    });

    test('is told at most 20 times', async () => {
      const { answer } = await send('/predict/batch', batch(...Array<string>(30).fill(twice('RM'))));
      expect(answer.errors).toHaveLength(20);
      expect(answer.errors_truncated).toBe(true);
      expect(
        (await send('/predict/batch', batch(...Array<string>(20).fill(twice('RM'))))).answer.errors_truncated,
      ).toBe(undefined);
    });
  });
});
