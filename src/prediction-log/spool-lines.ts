/**
 * A spool for people to read: a JSON line for each record of its segments, in the shape of `dead-letter.jsonl`. Reads
 * only, takes no lock, and so works beside the process that writes there. A segment holds all of its records until the
 * last of them is in Postgres, so some of what is shown may be stored already.
 */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Column } from '../contract/contract.ts';
import { describeRow } from './postgres/describe.ts';
import { openSegment } from './spool/count-segment.ts';
import { LONGEST_FRAME } from './spool/frames.ts';
import { scanFrames } from './spool/scan-frames.ts';
import { isSegmentName, isSpoolName, listSpool } from './spool/spool-directory.ts';

/** Large enough that an intact frame, if there is one, ends in the window, whatever it begins with. */
const WINDOW_BYTES = 2 * LONGEST_FRAME;
/** What the service writes beside the spools, or into one. */
const OWN_NAMES = ['dead-letter.jsonl', 'lock'];
const LATER = 'a later version of Ridgeline has written it';
const UNFINISHED = 'no whole frame: it is being written just now, a crash has cut it off, or it is damaged';

/**
 * The segments at a path, oldest first: itself, those of one spool, or those of all spools in DATA_DIR/spool. Rejects for
 * what is none of the three.
 */
export async function segmentsAt(given: string): Promise<string[]> {
  const path = await realpath(given);
  if (!(await stat(path)).isDirectory()) return [path];
  const names = (await readdir(path)).sort();
  if (names.some(isSegmentName)) return (await listSpool(path)).segments;
  const spools = names.filter(isSpoolName).map((name) => join(path, name));
  const isOurs = isSpoolName(basename(path)) || names.every((name) => OWN_NAMES.includes(name));
  if (spools.length === 0 && !isOurs) {
    throw new Error(`${given} is no spool. Name DATA_DIR/spool, a directory in it, or one of its .segment files.`);
  }
  return (await Promise.all(spools.map(listSpool))).flatMap(({ segments }) => segments);
}

/**
 * The lines of a segment, with their ends, some thousand at a time: `{"segment", "record"}` or, for what cannot be read,
 * `{"segment", "reason", "bytes"}` in base64. `assumedColumns` are of segments whose header is damaged. What is written after
 * the call is left out.
 */
export async function* linesOfSegment(path: string, assumedColumns: readonly Column[]): AsyncGenerator<string> {
  const segment = join(basename(dirname(path)), basename(path));
  const file = await openSegment(path);
  try {
    const { size } = await file.stat();
    const window = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, size));
    let header: readonly Column[] | undefined;
    for (let position = 0; position < size; ) {
      const wanted = Math.min(window.length, size - position);
      const { bytesRead } = await file.read(window, 0, wanted, position);
      if (bytesRead === 0) break;
      // Also true when somebody cuts the file short meanwhile.
      const isWhole = bytesRead < wanted || position + bytesRead === size;
      const bytes = window.subarray(0, bytesRead);
      const scan = scanFrames(bytes, { maxRows: Number.POSITIVE_INFINITY, isWhole });
      header = scan.columns ?? header;
      const records = scan.batches.flatMap((batch) => {
        const of = header ?? (batch.textOf ? [] : assumedColumns);
        return Array.from({ length: batch.rows }, (_, row) => ({
          at: batch.ids.byteOffset,
          line: { segment, record: describeRow(batch, row, of) },
        }));
      });
      const damaged = scan.damaged.map((damage, i) => {
        const isEnd = isWhole && scan.endsDamaged && i === scan.damaged.length - 1;
        const line = {
          segment,
          reason: isEnd ? UNFINISHED : 'the checksum does not fit',
          bytes: damage.toString('base64'),
        };
        return { at: damage.byteOffset, line };
      });
      const lines = [...records, ...damaged].sort((a, b) => a.at - b.at).map(({ line }) => line);
      if (scan.later) lines.push({ segment, reason: LATER, bytes: scan.later.toString('base64') });
      if (lines.length > 0) yield lines.map((line) => `${JSON.stringify(line)}\n`).join('');
      position += scan.consumed + (scan.later?.length ?? 0);
    }
  } finally {
    await file.close();
  }
}
