/** What is going to be trained: on which rows, beside which champion, and what its promotion would change for callers. */
import { type ContractChanges, compareContracts } from '../contract/compare.ts';
import type { Column, Contract } from '../contract/contract.ts';
import type { Pool } from '../database/pool.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';
import { FEWEST_ROWS } from '../gate/verdict.ts';
import { joinPending } from '../ground-truth/pending.ts';
import { missingFeatureColumns, withFreeColumns } from '../prediction-log/postgres/feature-columns.ts';
import { changesForCallers } from '../publishing/contract-changes.ts';
import { type Champion, originOfServed, readChampion } from '../registry/champion.ts';
import type { DataFile } from '../registry/pipeline-versions.ts';
import { newestPromotions, servedVersion } from '../registry/promotions.ts';
import { promotedContract } from '../registry/stored-declaration.ts';
import { findVersion } from '../registry/version-catalogue.ts';
import { readTrainingData } from '../training/training-data.ts';
import { type LabelledRow, MOST_LABELLED, readLabelledRows } from './labelled-rows.ts';
import { newestOfEachVector } from './training-set.ts';

/** The rows that ship, and what they are. */
export interface ShippedRows {
  contract: Contract;
  dataset: () => Dataset;
}

export interface TrainingRequest {
  alpha: number;
  seed: number;
  /** A CSV file; the next two are as in training/training-data.ts. */
  data?: string | undefined;
  target?: string | undefined;
  features?: string | undefined;
  /** Also on predictions of which the truth is known. */
  labelled?: boolean;
  withoutShipped?: boolean;
  /** Without it a training by hand promotes what can be judged by its cross-validation. */
  promote?: 'always' | 'gate' | 'never' | undefined;
  breaking?: boolean;
  dryRun?: boolean;
  promotedBy: string;
  reason: string;
}

/** What is served while the training runs. */
export interface ServedFigures {
  version: string;
  metrics: Record<string, number | null>;
}

export interface TrainingPlan extends ContractChanges {
  contract: Contract;
  /** Of the file, or those that ship; without rows where there are labelled ones alone. */
  base: Dataset;
  source: DataFile | undefined;
  /** The newest first; undefined where neither the fit nor the gate asks for them. */
  labelled: readonly LabelledRow[] | undefined;
  champion: Champion | undefined;
  /** The newest promotion, read before the champion: another one since means that somebody has chosen. */
  promotionId: string | undefined;
  /** Undefined where nothing is served, or something that predicts another thing. */
  served: ServedFigures | undefined;
  /** What was decided about the data. */
  notes: readonly string[];
  /** Those that a promotion adds to `predictions`. */
  columns: readonly Column[];
  /** Why there are too few rows to train on, where there are. */
  shortage: string | undefined;
}

/** Labelled rows to one that ships, from which on those that ship tell hardly more. */
const ENOUGH_TIMES = 10;

export interface PlanContext {
  shipped: ShippedRows;
  now: Date;
}

/** Reads the rows. Throws, before anything is trained, where they cannot be read or stored. */
export async function planTraining(
  pool: Pool,
  asked: TrainingRequest,
  { shipped, now }: PlanContext,
): Promise<TrainingPlan> {
  const { contract, base, notes, source } = await storableRows(pool, asked, shipped);
  const { served: contracts, ...changes } = await changesForCallers(pool, { contract, shipped: shipped.contract });
  const columns = await missingFeatureColumns(pool, contract, [shipped.contract, ...contracts]);
  const isJudged = asked.promote === 'gate';
  const options = { contract, shipped: shipped.contract, limit: MOST_LABELLED };
  const needsTruths = asked.labelled || isJudged;
  // Truths that have come just before their predictions wait for the next minute otherwise.
  if (needsTruths) await joinPending(pool, now);
  const labelled = needsTruths ? await readLabelledRows(pool, options) : undefined;
  const [newest] = await newestPromotions(pool, 1);
  const shortage = base.y.length === 0 ? shortageOf(labelled ?? []) : undefined;
  return {
    ...{ contract, base, source, labelled, columns, shortage, ...changes },
    notes: [...notes, ...(asked.labelled ? labelledNotes(labelled!, asked, shipped) : [])],
    promotionId: newest?.promotionId,
    champion: isJudged ? await readChampion(pool, shipped.contract) : undefined,
    served: await servedFigures(pool, contract.declaration.output.name, { shipped, now }),
  };
}

interface BaseRows extends Pick<TrainingPlan, 'contract' | 'base' | 'source'> {
  notes: readonly string[];
}

/** Nobody has chosen the columns of a derived declaration: where one is in the way of another type, the next is taken. */
async function storableRows(pool: Pool, asked: TrainingRequest, shipped: ShippedRows): Promise<BaseRows> {
  const rows = await baseRows(pool, asked, shipped);
  if (asked.target === undefined || asked.features !== undefined) return rows;
  const contract = await withFreeColumns(pool, rows.contract);
  const moved = contract.features.filter(({ column }, i) => column !== rows.contract.features[i]!.column);
  const notes = moved.map(({ name, column }) => `${name}: stored as ${column}, as its own column has another type.`);
  return { ...rows, contract, notes: [...rows.notes, ...notes] };
}

/** Those of the file, by the columns of what is served where nothing else is asked; without a file those that ship. */
async function baseRows(pool: Pool, asked: TrainingRequest, shipped: ShippedRows): Promise<BaseRows> {
  const { data, target, features } = asked;
  if (data !== undefined) {
    // Then what is served need not be known here: it may be of a later version of Ridgeline.
    const isDeclared = target !== undefined || features !== undefined;
    const served = isDeclared ? shipped.contract : await promotedContract(pool, shipped.contract);
    const { dataset: base, ...read } = await readTrainingData({ data, target, features, served });
    return { base, ...read };
  }
  const own = { contract: shipped.contract, base: shipped.dataset(), source: undefined, notes: [] };
  if (!asked.labelled) return own;
  const { contract, reason } = await rowsToLearnFrom(pool, asked, shipped.contract);
  if (reason === undefined) return own;
  return {
    ...own,
    contract,
    base: emptyRows(contract),
    notes: [`${reason}: labelled predictions alone are learned from.`],
  };
}

/** The contract of labelled rows, and why the shipped ones are not beside them, if they are not. */
async function rowsToLearnFrom(
  pool: Pool,
  { withoutShipped }: TrainingRequest,
  shipped: Contract,
): Promise<{ contract: Contract; reason?: string }> {
  const contract = await promotedContract(pool, shipped);
  const { breaking, compatible } = compareContracts(contract, shipped);
  if (breaking.length + compatible.length > 0) {
    return { contract, reason: `What is served takes rows of ${contract.declaration.name}, not those that ship` };
  }
  const { file = null, shipped: rows = null } = (await originOfServed(pool)) ?? {};
  if (file !== null) return { contract, reason: `What is served was trained on ${file}, which is not kept` };
  if (withoutShipped) return { contract, reason: 'The rows that ship are left out' };
  return rows === 0 ? { contract, reason: 'What is served was trained without the rows that ship' } : { contract };
}

function emptyRows({ names }: Contract): Dataset {
  return { X: { rows: 0, columns: names.length, data: new Float64Array(0) }, y: new Float64Array(0) };
}

function shortageOf(labelled: readonly LabelledRow[]): string | undefined {
  const { length } = newestOfEachVector(labelled);
  if (length >= FEWEST_ROWS) return undefined;
  return (
    `There are ${length} labelled predictions of different rows, and no other rows to learn from; ${FEWEST_ROWS} are ` +
    'needed. Send more truths, or train on a file: npm run train -- --data FILE.csv --labelled.'
  );
}

function labelledNotes(
  rows: readonly LabelledRow[],
  { withoutShipped }: TrainingRequest,
  { dataset }: ShippedRows,
): string[] {
  const [newest, oldest] = [rows.at(0), rows.at(-1)];
  if (!newest || !oldest) return ['No prediction has a truth yet.'];
  const day = ({ predictedAt }: LabelledRow) => predictedAt.toISOString().slice(0, 10);
  const notes = [`${rows.length} labelled predictions, answered from ${day(oldest)} to ${day(newest)}.`];
  if (withoutShipped && rows.length < ENOUGH_TIMES * dataset().y.length) {
    notes.push(`They are fewer than ${ENOUGH_TIMES} times the rows that ship, which would still be worth having.`);
  }
  return notes;
}

async function servedFigures(
  pool: Pool,
  target: string,
  { shipped, now }: PlanContext,
): Promise<ServedFigures | undefined> {
  const version = await servedVersion(pool);
  if (version === undefined) return undefined;
  const found = await findVersion(pool, version, { shipped: shipped.contract.declaration, now });
  const { name } = (found?.declaration.output ?? {}) as { name?: string };
  return name === target ? found : undefined;
}
