/**
 * Training rows from a CSV file, and the contract under which they are: one that is given, or one that is derived. Where
 * something has to be known of all rows, such as a type, the file is read twice.
 */
import { basename, resolve } from 'node:path';
import { type Contract, createContract } from '../contract/contract.ts';
import { parseDeclaration } from '../contract/declaration.ts';
import { deriveDeclaration } from '../contract/derive.ts';
import type { Declaration } from '../contract/features-schema.ts';
import { RidgelineError, reasonOf } from '../errors.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';
import type { DataFile } from '../registry/pipeline-versions.ts';
import { type CsvDataset, readCsvDataset } from './csv-dataset.ts';
import { findLayout, type Layout } from './csv-dialect.ts';
import { findColumns, findTarget, isSameName } from './csv-header.ts';
import { columnsOf, profileCsv } from './csv-profile.ts';
import { openCsv } from './csv-text.ts';
import { declaredNotes, fileNotes, unknownNotes, unusedNotes } from './data-notes.ts';
import { findDeclaredColumns } from './declared-columns.ts';
import { withExamples } from './examples.ts';
import { readFeaturesFile } from './features-file.ts';

/** What a declaration calls its output when it gives no name. */
const UNNAMED_OUTPUT = 'prediction';

export interface TrainingDataOptions {
  /** The path of a CSV file. */
  data: string;
  /** The name of its column that is predicted. A declaration is derived where `features` gives none. */
  target?: string | undefined;
  /** The path of a features file. */
  features?: string | undefined;
  /** The contract of the version that is served, whose columns are read without the two. */
  served: Contract;
}

export interface TrainingData {
  /** `served` itself where it was read and nothing has changed. */
  contract: Contract;
  dataset: Dataset;
  /** What was decided, a line each, for people to read before anything is published. */
  notes: readonly string[];
  /** The file itself. */
  source: DataFile;
}

/** Throws `training_data` for a file that cannot be used, and `declaration` for a features file that cannot. */
export function readTrainingData({ data, target, features, served }: TrainingDataOptions): Promise<TrainingData> {
  if (features === undefined && target !== undefined) return deriveTrainingData(data, target);
  return explained(data, async () => {
    if (features !== undefined) return await readPinned(data, await readFeaturesFile(features), target);
    return await readUnder(data, served, { mayGrow: true });
  });
}

/** The same where everything follows from the file and the name of its target. */
export function deriveTrainingData(data: string, target: string): Promise<TrainingData> {
  return explained(data, () => readDerived(data, target));
}

async function explained(data: string, read: () => Promise<TrainingData>): Promise<TrainingData> {
  if (data === '-') throw refuse('Name a file; standard input is not read.');
  try {
    return await read();
  } catch (error) {
    if (error instanceof RidgelineError) throw error;
    const isOfSystem = (error as NodeJS.ErrnoException).syscall !== undefined;
    const advice = isOfSystem ? ' Name a CSV file that is there and that this user may read.' : '';
    // A relative path counts from the folder of package.json, which is not where everybody looks.
    throw refuse(`${isOfSystem ? resolve(data) : data} cannot be read: ${reasonOf(error)}.${advice}`, error);
  }
}

async function readDerived(data: string, target: string): Promise<TrainingData> {
  const file = await openCsv(data);
  const layout = await findLayout(file, [target]);
  const position = findTarget(layout, target);
  const others = [...layout.header.keys()].filter((other) => other !== position);
  const facts = await profileCsv(file, layout, { target: position, others });
  const derived = deriveDeclaration({ fileName: basename(data), columns: facts, target: position });
  const contract = createContract(parseDeclaration(derived.declaration));
  const columns = columnsOf(facts, findColumns(layout, contract.names), position);
  const read = await readCsvDataset(file, layout, { contract, columns });
  return {
    contract: withExamples(contract, read.dataset),
    dataset: read.dataset,
    notes: [
      ...fileNotes(data, layout, columns.target, read),
      ...derived.notes,
      'To decide otherwise, print the declaration with npm run features, edit it, and train with --features.',
    ],
    source: sourceOf(data, layout, read),
  };
}

/** A features file whose target has no name, or the same, takes it from the command. */
function readPinned(data: string, declaration: Declaration, target?: string): Promise<TrainingData> {
  const { output } = declaration;
  if (target !== undefined && output.name !== target && output.name !== UNNAMED_OUTPUT) {
    throw refuse(`The features file predicts ${output.name}, and --target names ${target}. Leave --target out.`);
  }
  const pinned = { ...declaration, output: { ...output, name: target ?? output.name } };
  return readUnder(data, createContract(parseDeclaration(pinned)), { mayGrow: false });
}

async function readUnder(data: string, given: Contract, { mayGrow }: { mayGrow: boolean }): Promise<TrainingData> {
  const target = given.declaration.output.name;
  if (given.names.some((name) => isSameName(name, target))) {
    throw refuse(`${target} is declared as a feature and as the target. Take it out of the features.`);
  }
  refuseTwins(given.names);
  const file = await openCsv(data);
  const layout = await findLayout(file, [...given.names, target]);
  const { contract, columns, notes } = await findDeclaredColumns(file, layout, { given, mayGrow });
  const read = await readCsvDataset(file, layout, { contract, columns });
  return {
    contract,
    dataset: read.dataset,
    notes: [
      ...fileNotes(data, layout, columns.target, read),
      ...declaredNotes(contract, columns, read),
      ...notes,
      ...unknownNotes(contract, read),
      ...unusedNotes(layout, columns),
    ],
    source: sourceOf(data, layout, read),
  };
}

/** Both would be read from the same column. */
function refuseTwins(names: readonly string[]): void {
  const twinOf = (name: string, i: number) => names.slice(0, i).find((other) => isSameName(name, other));
  const second = names.find((name, i) => twinOf(name, i) !== undefined);
  if (second === undefined) return;
  const first = twinOf(second, names.indexOf(second));
  throw refuse(
    `${first} and ${second} are one name in a header, where neither case nor blanks count. Rename one of the features.`,
  );
}

function sourceOf(data: string, { header }: Layout, { sha256, rows }: CsvDataset): DataFile {
  return { name: basename(data), sha256, rows, columns: header.length };
}

const refuse = (detail: string, cause?: unknown) => new RidgelineError('training_data', { detail, cause });
