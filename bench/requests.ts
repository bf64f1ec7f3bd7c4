/** What is asked, and what has to be answered: the 506 houses, and what the fit itself predicts for them. */
import { agrees, sizeOf } from '../src/agreement.ts';
import { featuresOfKind } from '../src/contract/contract.ts';
import { fitPipeline, predictPipeline } from '../src/estimators/pipeline.ts';
import { loadHousingDataset } from '../src/housing/dataset.ts';
import { housing } from '../src/housing/features.ts';
import { postRequest } from './http-client.ts';

export interface Request {
  bytes: Buffer;
  /** The houses that are asked about, as row numbers of the data set. */
  houses: readonly number[];
}

/** Whether a body answers for these houses. */
export type Check = (body: string, houses: readonly number[]) => boolean;

const dataset = loadHousingDataset();
const { names } = housing;
const bodies = Array.from({ length: dataset.X.rows }, (_, row) =>
  JSON.stringify(Object.fromEntries(names.map((name, column) => [name, dataset.X.data[row * names.length + column]]))),
);

/** Every house on its own, to be asked in turn. */
export const singleRequests: readonly Request[] = bodies.map((body, house) => ({
  bytes: postRequest('/predict', body),
  houses: [house],
}));

export function batchBody(rows: number, firstHouse = 0): { body: string; houses: number[] } {
  const houses = Array.from({ length: rows }, (_, i) => (firstHouse + i) % bodies.length);
  return { body: `{"instances":[${houses.map((house) => bodies[house]).join(',')}]}`, houses };
}

/** A few different batches of so many rows. */
export function batchRequests(rows: number): Request[] {
  return [0, 100, 200, 300, 400].map((firstHouse) => {
    const { body, houses } = batchBody(rows, firstHouse);
    return { bytes: postRequest('/predict/batch', body), houses };
  });
}

/** Accepts what a pipeline fitted with one of these alphas predicts. */
export function predictionsOf(...alphas: number[]): Check {
  const roles = {
    numerical: featuresOfKind(housing, 'numerical'),
    categorical: featuresOfKind(housing, 'categorical'),
  };
  const fits = alphas.map((alpha) => predictPipeline(fitPipeline(dataset, { alpha, ...roles }), dataset.X));
  const size = sizeOf(dataset.y);
  return (body, houses) => {
    const answer = JSON.parse(body) as { prediction: number; predictions?: number[] };
    const given = answer.predictions ?? [answer.prediction];
    const isOf = (fit: Float64Array) => houses.every((house, i) => agrees(given[i]!, fit[house]!, size));
    return given.length === houses.length && fits.some(isOf);
  };
}
