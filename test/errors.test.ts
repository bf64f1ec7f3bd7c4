import { STATUS_CODES } from 'node:http';
import { describe, expect, test } from 'vitest';
import { type ErrorCode, errorCodes, RidgelineError, reasonOf } from '../src/errors.ts';

describe('every entry of the catalogue', () => {
  test('has a title of its own, so that two problems are never told alike', () => {
    const titles = errorCodes.map((code) => new RidgelineError(code).title);
    expect(new Set(titles).size).toBe(errorCodes.length);
  });

  test.each(errorCodes)('%s is complete: its code, a title, a sentence to act on, no hole left in it', (code) => {
    const error = new RidgelineError(code, { detail: 'the detail.' });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'RidgelineError', code });
    expect(error.title).toMatch(/^[A-Z].*[^.]$/);
    expect(error.message).toMatch(/\.$/);
    for (const text of [error.message, new RidgelineError(code).message]) {
      expect(text).not.toContain('%s');
      expect(text).not.toContain('undefined');
    }
  });

  test.each(errorCodes)('%s has a status that HTTP knows for errors, or none where only commands meet it', (code) => {
    const { status } = new RidgelineError(code);
    if (status === undefined) return expect(new RidgelineError(code).retryAfterSeconds).toBeUndefined();
    expect(status).toBeGreaterThanOrEqual(400);
    expect(STATUS_CODES).toHaveProperty(String(status));
  });

  test('of the training has no status, while those of answers have theirs', () => {
    const statusOf = (code: ErrorCode) => new RidgelineError(code).status;
    for (const code of ['training_data', 'singular_system', 'parity', 'bad_artefact'] as const) {
      expect(statusOf(code)).toBeUndefined();
    }
    expect(statusOf('invalid_features')).toBe(422);
    expect(statusOf('internal')).toBe(500);
    expect(statusOf('no_pipeline')).toBe(503);
  });
});

test('the detail takes its place in the message as it is, signs of replacement too', () => {
  expect(new RidgelineError('body_too_large', { detail: '65536' }).message).toBe(
    'Send at most 65536 bytes; split large batches.',
  );
  const odd = "$& $1 $' %s %d";
  expect(new RidgelineError('training_data', { detail: odd }).message).toBe(odd);
});

test('what a caller must not see is in the cause, not in the message', () => {
  const cause = new Error('connect ECONNREFUSED 10.0.0.7:5432');
  for (const code of errorCodes) {
    const error = new RidgelineError(code, { cause });
    expect(error.cause).toBe(cause);
    expect(error.message).not.toContain('10.0.0.7');
  }
  const internal = new RidgelineError('internal', { detail: 'secret', cause });
  expect(internal.message + internal.title).not.toContain('secret');
  expect('cause' in new RidgelineError('internal')).toBe(false);
});

test('a caller is told when to retry with 503, and otherwise only where that is said', () => {
  for (const code of errorCodes) {
    const { status, retryAfterSeconds } = new RidgelineError(code);
    if (status === 503) expect(retryAfterSeconds).toBe(1);
    if (status !== 503 && status !== 429) expect(retryAfterSeconds).toBeUndefined();
  }
  expect(new RidgelineError('overloaded', { retryAfterSeconds: 7 }).retryAfterSeconds).toBe(7);
});

test('the faults of fields are kept, and whether there are more', () => {
  const errors = [{ pointer: '/RM', code: 'not_finite', message: 'Too large.' }];
  expect(new RidgelineError('invalid_features', { errors })).toMatchObject({ errors, errorsTruncated: false });
  expect(new RidgelineError('invalid_features', { errors, errorsTruncated: true }).errorsTruncated).toBe(true);
});

describe('the reason of anything thrown', () => {
  test('is title and message of an entry of the catalogue', () => {
    expect(reasonOf(new RidgelineError('bad_artefact', { detail: 'It is empty.' }))).toBe(
      'The artefact cannot be served: It is empty.',
    );
  });

  test('is the message of another error, and the text of what is none', () => {
    expect(reasonOf(new TypeError('no'))).toBe('no');
    expect(reasonOf('text')).toBe('text');
    expect(reasonOf(undefined)).toBe('undefined');
  });

  test('is each refusal of a connection that was tried on several addresses', () => {
    const refusals = [new Error('ECONNREFUSED ::1'), new Error('ECONNREFUSED 127.0.0.1')];
    expect(reasonOf(new AggregateError(refusals))).toBe('ECONNREFUSED ::1; ECONNREFUSED 127.0.0.1');
    expect(reasonOf(new AggregateError(refusals, 'both'))).toBe('both');
  });
});
