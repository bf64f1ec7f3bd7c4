/** Predictions that were made together, as they lie in memory. */
import { type Contract, onceForEach } from '../contract/contract.ts';

/** Predictions that were made by one version at one time. */
export interface PredictionBatch {
  /** Under which the rows were read. */
  contract: Contract;
  /** 16 bytes a row. */
  ids: Uint8Array;
  /** Row-major slots in the declared order (contract/rows.ts). */
  features: Float64Array;
  /** Texts of the slots, beside the contract's. */
  texts?: readonly string[] | undefined;
  /** One a row. */
  predictions: Float64Array;
  pipelineVersion: string;
  createdAt: Date;
}

export const ID_BYTES = 16;
export const FLOAT64_BYTES = 8;
/** Of a row's values, so that it fits a frame of the spool with all else that this holds. */
export const LONGEST_ROW_BYTES = 1_000_000;

/** Values of one row in `features`. */
export function widthOf({ features, predictions }: PredictionBatch): number {
  return features.length / predictions.length;
}

/**
 * Where the rows of a batch are, in its own memory or in a frame of the spool, so that they can be written elsewhere
 * without a copy in between. Numbers are little-endian, as on every machine that Node runs ONNX Runtime on.
 */
export interface BatchBlocks {
  rows: number;
  width: number;
  /** In milliseconds since 1970. */
  createdAt: number;
  pipelineVersion: string;
  ids: Uint8Array;
  idsAt: number;
  features: DataView;
  featuresAt: number;
  predictions: DataView;
  predictionsAt: number;
  /**
   * The text that a slot refers to, as UTF-8. Undefined where all values are numbers; else slots may be null, too.
   */
  textOf: ((place: number) => Uint8Array | undefined) | undefined;
}

const encodedTexts = onceForEach(({ texts }: Contract): readonly Uint8Array[] =>
  texts.map((text) => Buffer.from(text)),
);

/** The texts that the slots of a batch refer to, as UTF-8; those of the contract are encoded once. */
export function textsOf({ contract, texts = [] }: Pick<PredictionBatch, 'contract' | 'texts'>) {
  const known = encodedTexts(contract);
  const own = texts.map((text) => Buffer.from(text));
  return (place: number): Uint8Array => (place < known.length ? known[place]! : own[place - known.length]!);
}

/** The blocks of a batch, as views of its memory. */
export function blocksOf(batch: PredictionBatch): BatchBlocks {
  const { ids, features, predictions, pipelineVersion, createdAt } = batch;
  return {
    rows: predictions.length,
    width: widthOf(batch),
    createdAt: createdAt.getTime(),
    pipelineVersion,
    ids,
    idsAt: 0,
    features: new DataView(features.buffer, features.byteOffset, features.byteLength),
    featuresAt: 0,
    predictions: new DataView(predictions.buffer, predictions.byteOffset, predictions.byteLength),
    predictionsAt: 0,
    textOf: batch.contract.isPlain ? undefined : textsOf(batch),
  };
}
