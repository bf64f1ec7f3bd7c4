/** Whether the training rows tell enough to judge a pipeline by its cross-validation. */
import type { Dataset } from '../estimators/dense-matrix.ts';
import type { NewPipeline } from '../registry/pipeline-versions.ts';

/** Why a cross-validation says nothing, or that predicting the mean would be better. */
export interface Doubt {
  reason: 'too_few_rows' | 'constant_target' | 'negative_r2';
  sentence: string;
}

/** Of fewer the errors of a fold are mostly chance. */
const ROWS_A_FOLD = 10;

/** Undefined where there is none. */
export function doubtAbout(
  { metrics, hyperparameters }: Pick<NewPipeline, 'metrics' | 'hyperparameters'>,
  { X: { rows }, y }: Dataset,
): Doubt | undefined {
  if (rows < ROWS_A_FOLD * hyperparameters.folds!) {
    const sentence = `${rows} rows are fewer than ${ROWS_A_FOLD} for each fold of the cross-validation.`;
    return { reason: 'too_few_rows', sentence };
  }
  if (y.every((value) => value === y[0])) {
    return {
      reason: 'constant_target',
      sentence: 'The target is the same in every row, so there is nothing to learn.',
    };
  }
  if (metrics.cv_r2! < 0) {
    const sentence = 'Its R2 out of fold is below 0: to answer the mean of the target would be nearer.';
    return { reason: 'negative_r2', sentence };
  }
  return undefined;
}
