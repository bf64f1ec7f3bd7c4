/** Queries: what the predict routes do not know they tell; the probes let anything stand behind their `?`. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bothWays, startTestApp, type TestApp } from '../support/app.ts';
import { articleRow, type ProblemAnswer, post } from '../support/requests.ts';

describe.each(bothWays)('%s', (_way, options) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({}, options);
  });
  afterAll(() => app.close());

  const bodies = { '/predict': articleRow, '/predict/batch': { instances: [articleRow] } };
  const paths = Object.keys(bodies) as (keyof typeof bodies)[];
  const send = (path: keyof typeof bodies, search: string) => post(app.url + path + search, bodies[path]);
  const errorsOf = async (response: Response) => ((await response.json()) as ProblemAnswer).errors;

  describe.each(paths)('of %s', (path) => {
    test.each(['?x', '?interval_=0.9', '?__proto__=1', '?constructor'])('refuse %s', async (search) => {
      const response = await send(path, search);
      expect(response.status).toBe(422);
      const problem = (await response.json()) as ProblemAnswer;
      expect(problem.type).toBe('urn:ridgeline:error:invalid_parameters');
      const parameter = /\w+/.exec(search)![0];
      expect(problem.errors).toEqual([{ parameter, code: 'unknown_parameter', message: expect.any(String) }]);
    });

    test('list at most 20, in the order in which they came', async () => {
      const search = (count: number) => `?${Array.from({ length: count }, (_, i) => `p${i}=${i}`).join('&')}`;
      const exact = (await (await send(path, search(20))).json()) as ProblemAnswer;
      expect(exact.errors?.map(({ parameter }) => parameter)).toEqual(Array.from({ length: 20 }, (_, i) => `p${i}`));
      expect(exact).not.toHaveProperty('errors_truncated');
      const more = (await (await send(path, search(21))).json()) as ProblemAnswer;
      expect(more.errors).toHaveLength(20);
      expect(more.errors_truncated).toBe(true);
    });

    test('repeat no name that is no plain one, and no value', async () => {
      const errors = await errorsOf(await send(path, '?%3Cb%3Esecret%3C%2Fb%3E=secret&=secret&ok.name-1=secret'));
      expect(errors?.map(({ parameter }) => parameter)).toEqual(['', '', 'ok.name-1']);
      expect(JSON.stringify(errors)).not.toContain('secret');
    });

    test.each(['', '?', '?&', '?&&'])('are none, and welcome, in %j', async (search) => {
      expect((await send(path, search)).status).toBe(200);
    });

    test('are told after what is wrong with the body', async () => {
      const response = await post(`${app.url}${path}?x=1`, {});
      expect(((await response.json()) as ProblemAnswer).type).toBe('urn:ridgeline:error:invalid_features');
    });
  });

  test.each(['/health', '/livez', '/readyz'])('of %s may be any', async (path) => {
    expect((await fetch(`${app.url}${path}?_=1732608000&x`)).status).toBe(200);
  });

  test('are in the documentation of the 422 of the predict routes', async () => {
    const { paths: documented } = (await (await fetch(`${app.url}/docs/json`)).json()) as {
      paths: Record<string, { post: { responses: Record<string, unknown>; parameters?: unknown } }>;
    };
    for (const path of paths) {
      const { responses, parameters } = documented[path]!.post;
      expect(JSON.stringify(responses['422'])).toContain('urn:ridgeline:error:invalid_features');
      expect(JSON.stringify(responses['422'])).toContain('urn:ridgeline:error:invalid_parameters');
      const named = (parameters as { name: string; required: boolean }[]).map(({ name, required }) => [name, required]);
      expect(named).toEqual([
        ['interval', false],
        ['contributions', false],
      ]);
    }
  });
});
