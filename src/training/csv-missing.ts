/** What stands for a missing value in CSV files. */

/**
 * The spellings that R, Python, SQL and spreadsheets write, all of them among those that pandas takes by default
 * (`pandas.read_csv`, `na_values`).
 */
const SPELLINGS = new Set(['', 'NA', 'N/A', 'n/a', '#N/A', '<NA>', 'NaN', 'nan', 'NULL', 'null', 'None']);
const LONGEST = Math.max(...Array.from(SPELLINGS, ({ length }) => length));

/** The spelling, without the blanks around it, or undefined for a value. */
export function missingSpelling(cell: string): string | undefined {
  // Most cells begin as numbers do, and no spelling does: + , - . / and digits.
  if (cell >= '+' && cell < ':') return undefined;
  if (cell.length > LONGEST && cell[0] !== ' ' && cell[0] !== '\t') return undefined;
  const trimmed = cell.trim();
  return SPELLINGS.has(trimmed) ? trimmed : undefined;
}
