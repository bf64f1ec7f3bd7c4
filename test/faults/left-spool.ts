/** A spool as a dead process leaves it, of any size, without the hours of traffic that it takes. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { housing } from '../../src/housing/features.ts';
import { recordColumns } from '../../src/prediction-log/record-columns.ts';
import { frameBatch, frameHeader } from '../../src/prediction-log/spool/frame-batch.ts';
import { createPredictionIds } from '../../src/serving/prediction-ids.ts';
import { houses } from './load.ts';

const SEGMENT_BYTES = 8 * 1024 * 1024;

/** Of frames of one row each; returns how many. */
export async function leaveSpool(directory: string, bytes: number): Promise<number> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'lock'), '');
  const columns = recordColumns(housing);
  const nextIds = createPredictionIds();
  const values = Object.values(houses[0]!);
  const createdAt = new Date();
  const batch = {
    contract: housing,
    ids: new Uint8Array(16),
    features: Float64Array.from(values),
    predictions: Float64Array.of(24),
    pipelineVersion: '2026_11_22__16_08_52',
    createdAt,
  };
  const scratch = Buffer.alloc(1024);
  const frameSize = frameBatch(batch, scratch).length;
  const header = frameHeader(columns);
  const framesOfSegment = Math.floor((SEGMENT_BYTES - header.length) / frameSize);
  let rows = 0;
  for (let segment = 1; segment * SEGMENT_BYTES <= bytes; segment++) {
    const file = Buffer.alloc(header.length + framesOfSegment * frameSize);
    header.copy(file);
    for (let at = header.length; at < file.length; at += frameSize) {
      nextIds(batch.ids, createdAt.getTime());
      frameBatch(batch, scratch).copy(file, at);
      rows++;
    }
    await writeFile(join(directory, `${String(segment).padStart(12, '0')}.segment`), file);
  }
  return rows;
}
