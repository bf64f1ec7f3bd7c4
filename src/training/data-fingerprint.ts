/** Which data have trained a version. */
import { createHash } from 'node:crypto';
import type { Contract } from '../contract/contract.ts';
import type { Dataset } from '../estimators/dense-matrix.ts';

/**
 * SHA-256 over the names and kinds of the columns, the texts that their places stand for where there are any, then the
 * slots as little-endian float64.
 */
export function fingerprintData({ X, y }: Dataset, { features, declaration, texts }: Contract): string {
  const declared = [...features.map(({ name, kind }) => [name, kind]), [declaration.output.name, 'target']];
  const hash = createHash('sha256').update(JSON.stringify(declared));
  if (texts.length > 0) hash.update(JSON.stringify(texts));
  return hash.update(bytesOf(X.data)).update(bytesOf(y)).digest('hex');
}

function bytesOf(values: Float64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
