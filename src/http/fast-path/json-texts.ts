/**
 * Reads the texts of a body as their places: known ones by their bytes, others as strings that the rows of this body bring
 * with them. Those are kept no longer than the rows: callers could fill any memory that keeps them.
 */
import type { Contract } from '../../contract/contract.ts';
import { type End, GAVE_UP } from './json-bytes.ts';
import { createKnownTexts, textOf, UNKNOWN } from './known-texts.ts';

export interface TextReader {
  /** The place of the text at `at` of a feature, by its position; GAVE_UP where there is none that the contract takes. */
  readText(body: Buffer, at: number, column: number, end: End): number;
  /** Hands out the body's texts beside the contract's, if there were any. To be called at the end of each body. */
  takeOthers(): string[] | undefined;
}

export function createTextReader({ features, texts, places }: Contract): TextReader {
  const known = createKnownTexts(texts);
  const mostBytes = Uint32Array.from(features, ({ max_length }) => max_length);
  const closed = features.map(({ dtype, unknown, categories = [] }) =>
    dtype === 'string' && unknown === 'refuse'
      ? new Set(categories.map((one) => places.get(one as string)))
      : undefined,
  );
  let others: Map<string, number> | undefined;

  function placeOf(text: string): number {
    const place = places.get(text) ?? others?.get(text);
    if (place !== undefined) return place;
    others ??= new Map();
    const next = texts.length + others.size;
    others.set(text, next);
    return next;
  }

  return {
    readText(body, at, column, end) {
      let place = known.placeOf(body, at, end);
      // Escapes are longer than what they stand for.
      if (place === GAVE_UP || end.at - at - 2 > mostBytes[column]!) return GAVE_UP;
      if (place === UNKNOWN) {
        const text = textOf(body, at, end.at);
        if (text === undefined) return GAVE_UP;
        place = placeOf(text);
      }
      return closed[column]?.has(place) === false ? GAVE_UP : place;
    },
    takeOthers() {
      const taken = others && [...others.keys()];
      others = undefined;
      return taken;
    },
  };
}
