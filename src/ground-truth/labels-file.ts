/** Labels in a CSV file (RFC 4180): prediction_id, actual, and perhaps observed_at, under a header with these names. */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import Papa from 'papaparse';
import type { Clock } from '../clock.ts';
import { FURTHEST_AHEAD_MS, LARGEST_ACTUAL, type Label, timeOfPredictionId } from './label.ts';
import { parseRfc3339 } from './rfc3339.ts';

/** What a line says, or why it says nothing. */
export type LabelLine = { line: number } & ({ label: Label } | { fault: string });

const NAMES = ['prediction_id', 'actual', 'observed_at'] as const;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
/** Of a cell, in a message. */
const SHOWN = 40;

/**
 * The lines below the header, one after another: a file of any size takes no more memory than a piece of it. The clock is
 * asked for each line. Rejects for a file that cannot be read, or whose header lacks a name.
 */
export async function* readLabelLines(path: string, clock: Clock): AsyncGenerator<LabelLine> {
  const rows = Papa.parse(Papa.NODE_STREAM_INPUT, { delimiter: ',' });
  // What fails the reading ends the rows with its error, which is thrown to whoever reads them.
  pipeline(createReadStream(path, 'utf8'), rows, () => undefined);
  let line = 0;
  let places: Record<(typeof NAMES)[number], number> | undefined;
  for await (const cells of rows as unknown as AsyncIterable<string[]>) {
    line++;
    if (!places) places = placesOf(cells);
    else if (cells.some((cell) => cell.trim() !== '')) {
      const [predictionId, actual, observedAt] = NAMES.map((name) => (cells[places![name]] ?? '').trim());
      yield {
        line,
        ...readLabel({ predictionId: predictionId!, actual: actual!, observedAt: observedAt! }, clock.now()),
      };
    }
  }
  if (!places) throw new Error(`It is empty. ${EXPECTED}`);
}

const EXPECTED = `The first line has to be ${NAMES.join(',')}; the last name may be left out.`;

function placesOf(header: readonly string[]): Record<(typeof NAMES)[number], number> {
  const names = header.map((cell) => cell.replace(/^\uFEFF/, '').trim());
  const [predictionId, actual, observedAt] = NAMES.map((name) => names.indexOf(name));
  if (predictionId === -1 || actual === -1) throw new Error(`It has no header of labels. ${EXPECTED}`);
  return { prediction_id: predictionId!, actual: actual!, observed_at: observedAt! };
}

interface Cells {
  predictionId: string;
  /** Empty: withdrawn. */
  actual: string;
  /** Empty: now. */
  observedAt: string;
}

function readLabel({ predictionId, actual, observedAt }: Cells, now: Date): { label: Label } | { fault: string } {
  if (timeOfPredictionId(predictionId) === undefined) {
    return { fault: `prediction_id: ${shown(predictionId)} is not the id of an answer` };
  }
  const number = actual === '' ? null : NUMBER.test(actual) ? Number(actual) : Number.NaN;
  if (number !== null && !(Math.abs(number) <= LARGEST_ACTUAL)) {
    return { fault: `actual: ${shown(actual)} is not a number of at most ${LARGEST_ACTUAL} in size` };
  }
  const at = observedAt === '' ? undefined : parseRfc3339(observedAt);
  if (observedAt !== '' && at === undefined) {
    return { fault: `observed_at: ${shown(observedAt)} is not a time such as 2026-11-22T10:00:00Z` };
  }
  if (at && at.getTime() > now.getTime() + FURTHEST_AHEAD_MS) {
    return { fault: `observed_at: ${shown(observedAt)} is more than 5 minutes ahead` };
  }
  return { label: { predictionId: predictionId.toLowerCase(), actual: number, observedAt: at } };
}

function shown(cell: string): string {
  return JSON.stringify(cell.length > SHOWN ? `${cell.slice(0, SHOWN)}…` : cell);
}
