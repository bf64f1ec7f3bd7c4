/**
 * The header of a CSV file: where the wanted columns are. What nobody sees in a name does not count: upper and lower case,
 * blanks around it, letters of another width, characters that are not shown, such as a space of no width.
 */
import { RidgelineError } from '../errors.ts';

/** How much of a line is shown. */
const SHOWN_CHARACTERS = 40;

/** The position of each wanted column. Throws `training_data` where one is missing, or there twice. */
export function findColumns(header: readonly string[], wanted: readonly string[], path: string): number[] {
  const positions = new Map(wanted.map((name): [string, number[]] => [keyOf(name), []]));
  header.forEach((name, position) => {
    positions.get(keyOf(name))?.push(position);
  });
  const missing = wanted.filter((name) => positions.get(keyOf(name))!.length === 0);
  if (missing.length === wanted.length) throw refuse(otherKindOfFile(header, wanted, path));
  if (missing.length > 0) throw refuse(`The header lacks ${missing.join(', ')}. Add these columns.`);
  return wanted.map((name) => {
    const found = positions.get(keyOf(name))!;
    if (found.length === 1) return found[0]!;
    const places = found.map((position) => `column ${position + 1} (${header[position]!.trim()})`);
    throw refuse(`The header names ${name} ${found.length} times: ${places.join(', ')}. Rename or drop all but one.`);
  });
}

/** No column matches, so the file is of another kind, rather than short of a column. */
function otherKindOfFile(header: readonly string[], wanted: readonly string[], path: string): string {
  // More than is shown, so that a separator behind a first short name is seen.
  const line = header.join(',').slice(0, 1000);
  const shown = line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}…` : line;
  const expected = `The first line must be a header with ${wanted.join(', ')}, between commas.`;
  return `${path} begins with ${JSON.stringify(shown)}${separatorHint(line, wanted)}. ${expected}`;
}

function separatorHint(line: string, wanted: readonly string[]): string {
  const separators: [string, string][] = [
    [';', 'semicolons'],
    ['\t', 'tabs'],
    ['|', 'bars'],
  ];
  const keys = wanted.map(keyOf);
  const found = separators.find(([sign]) => line.split(sign).some((name) => keys.includes(keyOf(name))));
  return found ? `, which has ${found[1]} between its columns` : '';
}

function keyOf(name: string): string {
  const shown = name.normalize('NFKC').replace(/\p{Cf}/gu, '');
  return shown.trim().replace(/^"|"$/g, '').toLowerCase();
}

const refuse = (detail: string) => new RidgelineError('training_data', { detail });
