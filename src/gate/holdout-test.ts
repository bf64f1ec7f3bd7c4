/** Champion and challenger, both run on the same labelled rows that neither has learned from: the test as it is kept. */
import type { Contract } from '../contract/contract.ts';
import type { DenseMatrix } from '../estimators/dense-matrix.ts';
import { answersOf, rowsUnder } from '../inference/artefact-answers.ts';
import type { NewGateEntry } from '../registry/gate-decisions.ts';
import { type PairedTest, pairedTest } from './paired-test.ts';
import { judge, levelOf, type Verdict } from './verdict.ts';

/** Rows under a contract, with their truths, and when each was answered. */
export interface HoldoutRows {
  contract: Contract;
  X: DenseMatrix;
  actuals: ArrayLike<number>;
  predictedAt: readonly Date[];
}

export interface Contender {
  artefact: Uint8Array;
  contract: Contract;
}

export interface ServedContender extends Contender {
  pipelineVersion: string;
}

/** What was measured, of a test or where there were too few rows for one. */
export type Measured = Omit<NewGateEntry, 'decided_at' | 'decided_by' | 'judged_sha256' | 'decision' | 'reason'>;

/**
 * The test of a look, from 1, and what it decides; undefined where one of them does not take these rows, or they predict different
 * things. Never by stored predictions, which other versions have made. Throws `bad_artefact`, and `run_failed`.
 */
export function testOnHoldout(
  rows: HoldoutRows,
  { champion, challenger, look }: { champion: ServedContender; challenger: Contender; look: number },
): (Measured & Verdict) | undefined {
  const [ofChampion, ofChallenger] = [answersTo(rows, champion), answersTo(rows, challenger)];
  if (!ofChampion || !ofChallenger) return undefined;
  const test = pairedTest(rows.actuals, ofChampion, ofChallenger);
  const alpha = levelOf(look);
  return { ...measured(rows, test, champion), look, alpha, ...judge(test, alpha) };
}

/** How the champion does on rows that are new to it, where they are too few for a test; nothing of it before the first champion. */
export function withoutTest(rows: HoldoutRows, champion: ServedContender | undefined): Measured {
  const answers = champion && answersTo(rows, champion);
  const test = answers ? pairedTest(rows.actuals, answers, answers) : undefined;
  const none = { challenger_rmse: null, mean_difference: null, t: null, p_better: null, p_worse: null };
  return { ...measured(rows, test, champion), ...none, look: null, alpha: null };
}

function answersTo({ contract, X }: HoldoutRows, contender: Contender): Float64Array | undefined {
  if (contender.contract.declaration.output.name !== contract.declaration.output.name) return undefined;
  const own = rowsUnder(contender.contract, contract, X);
  return own && answersOf(contender.artefact, contender.contract, own);
}

function measured(
  { predictedAt }: HoldoutRows,
  test: PairedTest | undefined,
  champion: ServedContender | undefined,
): Omit<Measured, 'look' | 'alpha'> {
  const times = predictedAt.map((time) => time.getTime());
  const at = (time: number) => (times.length === 0 ? null : new Date(time).toISOString());
  return {
    champion_version: champion?.pipelineVersion ?? null,
    n: predictedAt.length,
    holdout_from: at(times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY)),
    holdout_to: at(times.reduce((most, time) => Math.max(most, time), Number.NEGATIVE_INFINITY)),
    champion_rmse: test?.championRmse ?? null,
    challenger_rmse: test?.challengerRmse ?? null,
    mean_difference: test?.meanDifference ?? null,
    t: test?.t ?? null,
    p_better: test?.pBetter ?? null,
    p_worse: test?.pWorse ?? null,
  };
}
