/** The article's house and how it is sent. */
import { expect } from 'vitest';

export const articleRow: Record<string, number> = {
  CRIM: 0.00632,
  ZN: 18,
  INDUS: 2.31,
  CHAS: 0,
  NOX: 0.538,
  RM: 6.575,
  AGE: 65.2,
  DIS: 4.09,
  RAD: 1,
  TAX: 296,
  PTRATIO: 15.3,
  B: 396.9,
  LSTAT: 4.98,
};

/** What scikit-learn answers for it with alpha 1 (test/oracle/make_fixtures.py). */
export const articleAnswer = 28.407883219473852;

export interface PredictAnswer {
  prediction: number;
  prediction_id: string;
  model_version?: string;
}

export interface ProblemAnswer {
  type: string;
  title: string;
  status: number;
  detail: string;
  request_id: string;
  /** With a pointer where the body is wrong, with a parameter where the query is. */
  errors?: { pointer?: string; parameter?: string; code: string; message: string }[];
  errors_truncated?: boolean;
}

/** Posts a body, as JSON unless it is a string already. */
export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** The answer to a body that has to be taken. */
export async function answerTo<Answer>(url: string, body: unknown): Promise<Answer> {
  const response = await post(url, body);
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}
