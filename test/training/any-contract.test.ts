import fc from 'fast-check';
import { expect, test } from 'vitest';
import { agrees, sizeOf } from '../../src/agreement.ts';
import { fromValues } from '../../src/contract/rows.ts';
import { RidgelineError } from '../../src/errors.ts';
import { fitPipeline, predictPipeline } from '../../src/estimators/pipeline.ts';
import { loadPredictor } from '../../src/inference/predictor.ts';
import { pipelineParameters } from '../../src/training/pipeline-parameters.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { anyContract, anyRow } from '../support/any-contract.ts';

test('under any contract, what is trained and loaded answers any row as the fit does', async () => {
  const samples = anyContract.chain((contract) => {
    const row = anyRow(contract);
    return fc.record({
      contract: fc.constant(contract),
      rows: fc.array(fc.tuple(row, fc.integer({ min: -100, max: 100 })), { minLength: 2, maxLength: 30 }),
      unseen: fc.array(row, { minLength: 1, maxLength: 10 }),
      alpha: fc.constantFrom(0.1, 1, 100),
    });
  });
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(samples, async ({ contract, rows, unseen, alpha }) => {
      const matrixOf = (values: typeof unseen) => ({
        rows: values.length,
        columns: contract.features.length,
        data: Float64Array.from(fromValues(contract, values).features),
      });
      const dataset = { X: matrixOf(rows.map(([values]) => values)), y: Float64Array.from(rows, ([, y]) => y) };
      const X = matrixOf(unseen);
      try {
        const { artefact, goldenRows } = trainPipeline(dataset, { contract, alpha, seed: 0 });
        const predictor = await loadPredictor({ pipelineVersion: 'v1', artefact, goldenRows }, contract);
        const answers = predictor.predict(X.data, X.rows);
        predictor.retire();
        const expected = predictPipeline(fitPipeline(dataset, pipelineParameters(contract, alpha)), X);
        const size = sizeOf([...dataset.y, ...expected]);
        answers.forEach((answer, i) => {
          expect(agrees(answer, expected[i]!, size), `row ${i}: ${answer}, expected ${expected[i]}`).toBe(true);
        });
        answered++;
      } catch (error) {
        // Only texts, of which none is declared: there is nothing to learn, and the training says so.
        if (!(error instanceof RidgelineError)) throw error;
        expect(error.message).toMatch(/^No feature is a number/);
      }
    }),
    { numRuns: 100 },
  );
  expect(answered).toBeGreaterThan(50);
});
