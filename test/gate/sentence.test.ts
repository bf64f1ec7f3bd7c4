import { expect, test } from 'vitest';
import { describeGate } from '../../src/gate/sentence.ts';

const entry = {
  ...{ champion_version: '2026_11_22__17_57_15', look: 2, decided_at: '2026-11-26T03:00:00.000Z', n: 206 },
  ...{ holdout_from: '2026-11-22T00:00:00.000Z', holdout_to: '2026-11-25T00:00:00.000Z' },
  ...{ champion_rmse: 5.134208610789807, challenger_rmse: 4.646142393522616, mean_difference: 4.77, t: 3.55 },
  ...{ p_better: 0.00024034961657540423, p_worse: 0.9997, alpha: 0.05 / 6 },
  ...{ decision: 'held' as const, decided_by: 'schedule', judged_sha256: '' },
};
const numbers =
  'On 206 labelled predictions of 2026-11-22 to 2026-11-25, new to both, its RMSE is 4.65 and that of ' +
  '2026_11_22__17_57_15 5.13 (p 0.00024 at level 0.00833, look 2).';

test.each([
  ['better', `${numbers} It is better.`],
  ['no_difference', `${numbers} There is no difference; it is judged again when 400 have their truth.`],
  ['not_proven_better', `${numbers} It is not proven to be better; it is judged again when 400 have their truth.`],
  ['champion_changed', `${numbers} Somebody has changed what is served meanwhile.`],
  ['schedules_hold', `${numbers} It is better, and a person has chosen what is served.`],
  ['breaking_change', `${numbers} It is better, and callers would notice: promote it by hand, with --breaking.`],
  ['another code', numbers],
])('a test that ends with %s is told with its numbers', (reason, sentence) => {
  expect(describeGate({ ...entry, reason })).toBe(sentence);
});

test('one that has found it worse tells how likely that is by chance', () => {
  expect(describeGate({ ...entry, p_worse: 0.00866, reason: 'worse' })).toContain(
    '(p of no worse 0.00866, look 2). It is worse.',
  );
});

test('after the last look nothing is promised', () => {
  expect(describeGate({ ...entry, n: 1_604, reason: 'not_proven_better' })).toMatch(/not proven to be better\.$/);
});

test.each([
  ['first', 0, 'Nothing was served before.'],
  ['too_few_labels', 1, /^1 labelled prediction is new to 2026_.*, and 100 are needed/],
  ['too_few_labels', 60, /^60 labelled predictions are new to 2026_.*, and 100 are needed/],
  ['cv_not_worse', 0, /at most 1\.02 times as large\.$/],
  ['cv_worse', 0, /more than 1\.02 times as large\.$/],
  ['not_comparable', 0, /^It takes other rows than 2026_/],
])('without a test %s says why', (reason, n, sentence) => {
  expect(describeGate({ ...entry, n, reason })).toMatch(sentence);
});
