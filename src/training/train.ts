/**
 * One training run, from rows to a pipeline that is ready to be published:
 * check the data -> cross-validate -> fit on all rows -> export ONNX -> compare ONNX with the fit, row by row.
 */
import { agrees, disagreement, sizeOf } from '../agreement.ts';
import type { Contract } from '../contract/contract.ts';
import type { GoldenRows } from '../contract/rows.ts';
import { RidgelineError } from '../errors.ts';
import type { Dataset, DenseMatrix } from '../estimators/dense-matrix.ts';
import { fitPipeline, predictPipeline, transformedWidth } from '../estimators/pipeline.ts';
import { fitWidePipeline } from '../estimators/pipeline-from-moments.ts';
import { checkExplainer, createExplainer, type Explanation } from '../inference/explanation.ts';
import { checkGoldenRows } from '../inference/golden-rows.ts';
import { openOnnxSession } from '../inference/onnx-session.ts';
import { exportPipeline } from '../onnx/export-pipeline.ts';
import { sha256Of } from '../registry/artefacts.ts';
import type { NewPipeline } from '../registry/pipeline-versions.ts';
import { checkDataset } from './check-dataset.ts';
import { fingerprintCode } from './code-fingerprint.ts';
import { crossValPredict, kFold } from './cross-validation.ts';
import { fingerprintData } from './data-fingerprint.ts';
import { explainPipeline } from './explain-pipeline.ts';
import { featureProfile, numericalProfile } from './feature-profile.ts';
import { goldenRows } from './golden-rows.ts';
import { categoryName, pipelineParameters } from './pipeline-parameters.ts';
import { regressionMetrics } from './regression-metrics.ts';
import { residualsToKeep } from './residuals.ts';

export interface TrainingOptions {
  contract: Contract;
  /** Strength of the L2 penalty, above 0: see `checkParameters`. */
  alpha: number;
  /** Decides the folds of the cross-validation. */
  seed: number;
  /** Hears what is being done and how far it is, from 0 to 1. */
  onProgress?: ((step: string, share: number) => void) | undefined;
}

const FOLDS = 10;
export const MAX_SEED = 2 ** 32 - 1;

const PARITY_BLOCK_ROWS = 4096;

/** From here on a fit to the rows themselves would spend nearly all of its time on indicators that are 0. */
const WIDE = 100;
/** Of this many columns the fits, eleven systems to be solved, take half a minute and 400 MB. */
const MAX_WIDTH = 2000;

/**
 * Trains on a data set of slots (contract/rows.ts) whose columns are in the declared order. Same data, alpha and seed give
 * the same bytes. Throws `training_data`, `singular_system` or `parity`; nothing has been written by then.
 */
export function trainPipeline(dataset: Dataset, options: TrainingOptions): NewPipeline {
  const { contract, alpha, seed, onProgress = () => undefined } = options;
  checkParameters(options);
  checkDataset(dataset, contract);
  const parameters = pipelineParameters(contract, alpha);
  const width = transformedWidth(dataset.X, parameters);
  checkWidth(width);
  const folds = Math.min(FOLDS, dataset.X.rows);
  const outOfFold = crossValPredict(dataset, parameters, kFold(dataset.X.rows, folds, seed), (done) =>
    onProgress(`cross-validation, fold ${done} of ${folds}`, (0.9 * done) / folds),
  );
  const crossValidation = regressionMetrics(dataset.y, outOfFold);
  onProgress('fit on all rows', 0.9);
  const pipeline = width > WIDE ? fitWidePipeline(dataset, parameters) : fitPipeline(dataset, parameters);
  const fitted = predictPipeline(pipeline, dataset.X);
  const training = regressionMetrics(dataset.y, fitted);
  const dataSha256 = fingerprintData(dataset, contract);
  const artefact = exportPipeline(pipeline, {
    featureNames: contract.names,
    categoryName: (column, category) => categoryName(contract, column, category),
    targetName: contract.declaration.output.name,
    dataFingerprint: dataSha256,
  });
  onProgress('compare the exported ONNX with the fit', 0.95);
  const golden = goldenRows(dataset.X, fitted, contract);
  const explanation = explainPipeline(pipeline, dataset.X, contract);
  const maxParityDifference = compareWithFit(artefact, contract, { X: dataset.X, fitted, golden, explanation });
  onProgress('done', 1);
  const metrics = {
    cv_rmse: crossValidation.rmse,
    cv_mae: crossValidation.mae,
    cv_r2: crossValidation.r2,
    train_rmse: training.rmse,
    train_mae: training.mae,
    train_r2: training.r2,
    max_parity_difference: maxParityDifference,
    rows: dataset.X.rows,
  };
  checkMetrics(metrics);
  return {
    artefact,
    sha256: sha256Of(artefact),
    hyperparameters: { alpha, seed, folds },
    metrics,
    dataSha256,
    codeSha256: fingerprintCode(),
    goldenRows: golden,
    featureProfile: featureProfile(dataset.X, contract),
    predictionProfile: numericalProfile(outOfFold),
    residuals: residualsToKeep(dataset.y.map((actual, row) => actual - outOfFold[row]!)),
    explanation,
    declaration: contract.declaration,
    trainingRows: { shipped: dataset.X.rows, labelled: 0, duplicates: 0 },
    trainedThrough: null,
  };
}

function checkWidth(width: number): void {
  const refuse = (detail: string) => new RidgelineError('training_data', { detail });
  if (width === 0) {
    throw refuse('No feature is a number, and no row has a declared category. Declare the categories of the texts.');
  }
  if (width > MAX_WIDTH) {
    throw refuse(
      `Numbers and categories make ${width} columns; at most ${MAX_WIDTH} are fitted. Leave out a feature with many categories, or declare fewer of them.`,
    );
  }
}

/** A measure that is no number would be stored as null, and look like one that was not taken. */
function checkMetrics(metrics: Record<string, number>): void {
  const overflown = Object.keys(metrics).filter((name) => !Number.isFinite(metrics[name]));
  if (overflown.length === 0) return;
  const detail = `${overflown.join(', ')}: the errors squared overflow. Bring the target nearer to 1, or drop extreme rows.`;
  throw new RidgelineError('training_data', { detail });
}

function checkParameters({ alpha, seed }: TrainingOptions): void {
  // With the indicators of a category, which always sum to 1, and an intercept, 0 leaves the system without a unique
  // solution on any data.
  if (!Number.isFinite(alpha) || alpha <= 0) {
    throw new RidgelineError('training_data', { detail: `alpha is ${alpha}; it must be a finite number above 0.` });
  }
  if (!Number.isInteger(seed) || seed < 0 || seed > MAX_SEED) {
    throw new RidgelineError('training_data', { detail: `The seed is ${seed}; it must be from 0 to ${MAX_SEED}.` });
  }
}

/** What a server will hold the artefact against. */
interface Fit {
  X: DenseMatrix;
  fitted: Float64Array;
  golden: GoldenRows;
  explanation: Explanation;
}

/**
 * The largest disagreement of ONNX with the fit over all rows. Throws `parity` when one is more than rounding, and the
 * error of a server's own checks when it would refuse the version.
 */
function compareWithFit(artefact: Uint8Array, contract: Contract, { X, fitted, golden, explanation }: Fit): number {
  const session = openOnnxSession(artefact, contract.names);
  const size = sizeOf(fitted);
  let largest = 0;
  try {
    for (let start = 0; start < X.rows; start += PARITY_BLOCK_ROWS) {
      const rows = Math.min(PARITY_BLOCK_ROWS, X.rows - start);
      const block = X.data.slice(start * X.columns, (start + rows) * X.columns);
      const answers = session.run(block, rows);
      for (let i = 0; i < rows; i++) {
        const expected = fitted[start + i]!;
        if (!agrees(answers[i]!, expected, size)) {
          throw new RidgelineError('parity', {
            detail: `Row ${start + i + 1}: ONNX Runtime answers ${answers[i]}, the fit ${expected}. Nothing is published.`,
          });
        }
        largest = Math.max(largest, disagreement(answers[i]!, expected, size));
      }
    }
    Array.from(checkGoldenRows(session, golden, contract));
    checkExplainer(createExplainer(explanation, contract), golden, contract);
  } finally {
    session.release();
  }
  return largest;
}
