/** The answers of two versions to the same stored rows, which both are run on here, whichever has answered them. */
import type { Column, Contract } from '../contract/contract.ts';
import { type FeatureRow, toFeatureRows } from '../contract/rows.ts';
import { rowUnder } from '../contract/stored-row.ts';
import type { Value } from '../contract/values.ts';
import type { Queryable } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import { loadPredictor, type Predictor } from '../inference/predictor.ts';
import { checkSha256 } from '../registry/artefacts.ts';
import { readPipeline } from '../registry/pipeline-versions.ts';
import { contractOfStored } from '../registry/stored-declaration.ts';

/** Reads rows by these columns; null where a row has no value. */
export type ReadRows = (columns: readonly Column[]) => Promise<Record<string, Value>[]>;

export interface SideBySide {
  /** Rows that were read. */
  stored: number;
  /** The places, among them, of those that both take, and answer with a number; and these answers. */
  places: number[];
  a: number[];
  b: number[];
}

export interface SideBySideOptions {
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  read: ReadRows;
}

/** Throws `bad_artefact` or `version_emptied` where one of them cannot be run. */
export async function answerSideBySide(
  client: Queryable,
  versions: readonly [string, string],
  { shipped, read }: SideBySideOptions,
): Promise<SideBySide> {
  const loaded: Predictor[] = [];
  try {
    for (const version of versions) loaded.push(await load(client, version, shipped));
    const [a, b] = loaded as [Predictor, Predictor];
    const stored = await read([...a.contract.columns, ...b.contract.columns]);
    const fitting = stored.flatMap((row, place) => {
      const [ofA, ofB] = [rowUnder(a.contract, row), rowUnder(b.contract, row)];
      return ofA && ofB ? [{ place, ofA, ofB }] : [];
    });
    const answersOfA = answersOf(
      a,
      Array.from(fitting, ({ ofA }) => ofA),
    );
    const answersOfB = answersOf(
      b,
      Array.from(fitting, ({ ofB }) => ofB),
    );
    const answered = Array.from(answersOfA.keys()).filter(
      (i) => Number.isFinite(answersOfA[i]) && Number.isFinite(answersOfB[i]),
    );
    const of = (answers: readonly number[]) => answered.map((i) => answers[i]!);
    const places = answered.map((i) => fitting[i]!.place);
    return { stored: stored.length, places, a: of(answersOfA), b: of(answersOfB) };
  } finally {
    for (const predictor of loaded) predictor.retire();
  }
}

async function load(client: Queryable, version: string, shipped: Contract): Promise<Predictor> {
  const pipeline = (await readPipeline(client, version))!;
  if (pipeline.artefact.length === 0) throw new RidgelineError('version_emptied');
  checkSha256(pipeline);
  return await loadPredictor(pipeline, contractOfStored(pipeline.declaration, shipped));
}

function answersOf({ contract, predict }: Predictor, rows: readonly FeatureRow[]): number[] {
  if (rows.length === 0) return [];
  return Array.from(predict(Float64Array.from(toFeatureRows(contract, rows).features), rows.length));
}
