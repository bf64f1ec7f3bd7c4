/** A table for people. */

/** Columns: texts to the left, from the column `numbersFrom` on numbers to the right, two spaces in between. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[], numbersFrom: number): string {
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i < numbersFrom ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [heads, ...rows].map(line).join('\n');
}
