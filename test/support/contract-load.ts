/** Callers of servers whose pipeline is replaced by one of another contract, and what they must find afterwards. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Contract } from '../../src/contract/contract.ts';
import { type FeatureRow, toFeatureRows } from '../../src/contract/rows.ts';
import { loadPredictor, type Predictor } from '../../src/inference/predictor.ts';
import type { NewPipeline } from '../../src/registry/pipeline-versions.ts';
import { trainPipeline } from '../../src/training/train.ts';
import type { TestDatabase } from './database.ts';
import { contractOf, loadWines, wines } from './declaration.ts';
import { eventually } from './eventually.ts';
import { type ProblemAnswer, post } from './requests.ts';

export interface Trained {
  contract: Contract;
  pipeline: NewPipeline;
  /** Rows as they are sent. */
  rows: readonly FeatureRow[];
}

/** Texts that are known and some that are not, values that may be missing, and booleans. */
const cellars = contractOf(
  [
    { name: 'Grape', dtype: 'string', nullable: true, categories: ['Riesling', 'Zweigelt'] },
    { name: 'sugar', dtype: 'float64', nullable: true },
    { name: 'organic', dtype: 'bool', optional: true },
    { name: 'Cellar (place)', dtype: 'string' },
  ],
  { name: 'rating' },
);

function cellarOf(sugar: number, i: number): FeatureRow {
  return {
    Grape: ['Riesling', 'Zweigelt', null, 'Solaris'][i % 4]!,
    sugar: i % 7 === 0 ? null : sugar,
    ...(i % 5 > 0 && { organic: i % 3 === 0 }),
    'Cellar (place)': `Nový Svět ${i % 11} 🍇`,
  };
}

/** Pipelines of two contracts, of which neither takes the rows of the other. */
export function trainContracts(): [Trained, Trained] {
  const { X, y } = loadWines();
  const ofWines = Array.from({ length: X.rows }, (_, row) =>
    Object.fromEntries(wines.names.map((name, column) => [name, X.data[row * X.columns + column]!])),
  );
  const ofCellars = ofWines.map(({ sugar }, row) => cellarOf(sugar!, row));
  return [trainOn(wines, ofWines, y), trainOn(cellars, ofCellars, y)];
}

function trainOn(contract: Contract, rows: FeatureRow[], y: Float64Array): Trained {
  const data = Float64Array.from(toFeatureRows(contract, rows).features);
  const X = { rows: rows.length, columns: contract.names.length, data };
  return { contract, rows, pipeline: trainPipeline({ X, y }, { contract, alpha: 1, seed: 0 }) };
}

interface Answered {
  row: FeatureRow;
  contract: Contract;
  prediction: number;
  version: string;
}

interface Answer {
  predictions: number[];
  prediction_ids: string[];
  model_version: string;
}

/** How many callers each server has, and how long each waits between requests: enough that runs are shared. */
const CALLERS = 6;
const PAUSE_MS = 10;

/**
 * Sends rows to all servers while `work` publishes versions of `known` contracts under names of their own; it may wait until
 * each server has answered by one. Each answer must be the one that the fit of its version gives to rows of its own contract;
 * a refusal may only say that another contract is served now. Returns what was answered, by the ids of the predictions.
 */
export async function callWhile(
  urls: readonly string[],
  known: readonly Trained[],
  published: ReadonlyMap<string, Trained>,
  work: (isServed: (version: string) => Promise<unknown>) => Promise<void>,
): Promise<Map<string, Answered>> {
  const answered = new Map<string, Answered>();
  const servers = new Map<string, Set<string>>();
  const expected = await expectedAnswers(known);
  let isOver = false;

  async function call(url: string, caller: number): Promise<void> {
    let sent = known[caller % known.length]!;
    for (let turn = caller; !isOver; turn++) {
      await delay(PAUSE_MS);
      const count = 1 + (turn % 3);
      const places = Array.from({ length: count }, (_, i) => (turn + i) % sent.rows.length);
      const rows = places.map((place) => sent.rows[place]!);
      const response = await (turn % 2 === 0
        ? post(`${url}/predict/batch`, { instances: rows })
        : post(`${url}/predict`, rows[0]));
      const body = (await response.json()) as Answer & { prediction: number; prediction_id: string } & ProblemAnswer;
      if (response.status === 422) {
        expect(['unknown_field', 'missing']).toContain(body.errors![0]!.code);
        sent = known.find((other) => other !== sent)!;
        continue;
      }
      expect(response.status, JSON.stringify(body)).toBe(200);
      const { predictions = [body.prediction], prediction_ids = [body.prediction_id], model_version: version } = body;
      expect(published.get(version)?.contract.text).toBe(sent.contract.text);
      servers.set(version, (servers.get(version) ?? new Set()).add(url));
      predictions.forEach((prediction, i) => {
        expect(prediction).toBeCloseTo(expected.get(sent)![places[i]!]!, 9);
        answered.set(prediction_ids[i]!, { row: rows[i]!, contract: sent.contract, prediction, version });
      });
    }
  }

  const calls = urls.flatMap((url) => Array.from({ length: CALLERS }, (_, caller) => call(url, caller)));
  const failed = Promise.all(calls).then(() => undefined);
  const isServed = (version: string) => eventually(async () => servers.get(version)?.size === urls.length, 20_000);
  await Promise.race([failed, work(isServed)]).finally(() => {
    isOver = true;
  });
  await failed;
  return answered;
}

async function expectedAnswers(known: readonly Trained[]): Promise<Map<Trained, Float64Array>> {
  const answers = new Map<Trained, Float64Array>();
  for (const trained of known) {
    const { contract, pipeline, rows } = trained;
    const predictor: Predictor = await loadPredictor({ pipelineVersion: 'expected', ...pipeline }, contract);
    const { features } = toFeatureRows(contract, rows);
    answers.set(trained, predictor.predict(Float64Array.from(features), rows.length));
    predictor.retire();
  }
  return answers;
}

/** All that was answered is stored, once, in the columns of its own contract, and nothing in those of the other. */
export async function expectStored(database: TestDatabase, answered: ReadonlyMap<string, Answered>): Promise<void> {
  const stored = await eventually(async () => {
    const rows = await database.query<Record<string, unknown>>('select * from predictions');
    return rows.length >= answered.size && rows;
  }, 20_000);
  expect(stored.length).toBe(answered.size);
  for (const { id, prediction, pipeline_version, created_at: _at, ...columns } of stored) {
    const answer = answered.get(id as string)!;
    expect([prediction, pipeline_version]).toEqual([answer.prediction, answer.version]);
    const values = answer.contract.features.map(({ name, column, dtype }) => {
      const value = answer.row[name] ?? null;
      return [column, dtype === 'int64' && value !== null ? String(value) : value] as const;
    });
    const inColumns = Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== null));
    expect(inColumns).toEqual(Object.fromEntries(values.filter(([, value]) => value !== null)));
  }
}
