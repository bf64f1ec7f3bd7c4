/** How the bodies of the predict routes are decoded under a contract. Made once for each, and gone with it. */
import { type Contract, onceForEach } from '../contract/contract.ts';
import { createBatchDecoder, createRowDecoder, type RowDecoder } from './decode-rows.ts';
import { predictionSchemas } from './schemas/predictions.ts';

export interface RowDecoders {
  /** Of a body that is one row. */
  row: RowDecoder;
  /** Of a body with one row or more as its `instances`. */
  batch: RowDecoder;
  /** No row is written in less JSON. */
  fewestBytesOfRow: number;
}

export interface RowDecodersOptions {
  maxBatchRows: number;
  /** Whether rows are read from the bytes where they can be. */
  fastPath: boolean;
}

export function createRowDecoders({ maxBatchRows, fastPath }: RowDecodersOptions): (contract: Contract) => RowDecoders {
  return onceForEach((contract) => {
    const { row } = predictionSchemas(contract, maxBatchRows);
    return {
      row: createRowDecoder({ contract, row, fastPath }),
      batch: createBatchDecoder({ contract, row, maxBatchRows, fastPath }),
      fewestBytesOfRow: fewestBytesOfRow(contract),
    };
  });
}

const shortest = { float64: 0, int64: 0, bool: true, string: '' };

/** Of a row without white space and without what may be left out. */
function fewestBytesOfRow({ features }: Contract): number {
  const required = features.filter(({ optional }) => !optional);
  return JSON.stringify(Object.fromEntries(required.map(({ name, dtype }) => [name, shortest[dtype]]))).length;
}
