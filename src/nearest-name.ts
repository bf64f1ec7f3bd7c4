/** Which of the names that are known somebody may have meant by one that is not. */

/** A name this short is near to many words that mean something else. */
const SHORT = 8;
/** One letter more or less makes another name of these. */
const TOO_SHORT = 3;

/** The nearest of the names within two edits, or within one for a name of fewer than 8 letters. */
export function nearestName(written: string, names: readonly string[]): string | undefined {
  let nearest: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const most = Math.min(mostEdits(name), least - 1);
    const distance = editDistance(written, name, most);
    if (distance > most) continue;
    nearest = name;
    least = distance;
  }
  return nearest;
}

/**
 * The same where neither case nor the form of a letter counts: ² is 2. Else the only name that begins with what was written,
 * or that has it in it: "Preis" for "Preis (€)".
 */
export function meantName(written: string, names: readonly string[]): string | undefined {
  const key = plain(written);
  const keys = names.map(plain);
  const nearest = nearestName(key, keys);
  if (nearest !== undefined) return names[keys.indexOf(nearest)];
  if (key.length < TOO_SHORT) return undefined;
  const beginning = names.filter((_, i) => keys[i]!.startsWith(key));
  const holding = beginning.length > 0 ? beginning : names.filter((_, i) => keys[i]!.includes(key));
  return holding.length === 1 ? holding[0] : undefined;
}

const plain = (name: string) => name.normalize('NFKC').toLowerCase();

function mostEdits({ length }: string): number {
  if (length < TOO_SHORT) return 0;
  return length < SHORT ? 1 : 2;
}

/**
 * The least number of letters to insert, delete or replace that makes one word the other (Levenshtein, 1966); Infinity
 * where that is found to be more than `most`. Only what lies within `most` of the diagonal is computed (Ukkonen, 1985):
 * callers send long words, and each is compared with hundreds.
 */
export function editDistance(from: string, to: string, most = Number.POSITIVE_INFINITY): number {
  // As many as the lengths differ by are needed at least.
  if (Math.abs(from.length - to.length) > most) return Number.POSITIVE_INFINITY;
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  let current = above.map(() => Number.POSITIVE_INFINITY);
  for (let row = 1; row <= from.length; row++) {
    const first = Math.max(1, row - most);
    const last = Math.min(to.length, row + most);
    current[first - 1] = first === 1 ? row : Number.POSITIVE_INFINITY;
    let least = current[first - 1]!;
    for (let column = first; column <= last; column++) {
      const replaced = above[column - 1]! + Number(from[row - 1] !== to[column - 1]);
      const distance = Math.min(replaced, above[column]! + 1, current[column - 1]! + 1);
      current[column] = distance;
      least = Math.min(least, distance);
    }
    if (least > most) return Number.POSITIVE_INFINITY;
    [above, current] = [current, above];
  }
  return above[to.length]!;
}
