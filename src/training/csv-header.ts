/**
 * The names in the header of a CSV file. What nobody sees in a name does not count: upper and lower case, blanks around it,
 * letters of another width, characters that are not shown, such as a space of no width.
 */
import { RidgelineError } from '../errors.ts';
import { meantName } from '../nearest-name.ts';

/** How much of a line is shown. */
const SHOWN_CHARACTERS = 40;
/** How many names are shown. */
const SHOWN_NAMES = 20;

/** A name without what nobody sees around it. */
export function shownName(name: string): string {
  return trimmed(trimmed(name).replace(/^"(.*)"$/s, '$1'));
}

const trimmed = (name: string) => name.replace(/^[\s\p{Cf}]+|[\s\p{Cf}]+$/gu, '');

export function isSameName(one: string, other: string): boolean {
  return keyOf(one) === keyOf(other);
}

function keyOf(name: string): string {
  return shownName(name.normalize('NFKC').replace(/\p{Cf}/gu, '')).toLowerCase();
}

/** The first line of a file as it is written, and the names in it. */
export interface Header {
  header: readonly string[];
  firstLine: string;
}

/** The position of each wanted column. Throws `training_data` where one is missing, or there twice. */
export function findColumns({ header, firstLine }: Header, wanted: readonly string[]): number[] {
  const positions = new Map(wanted.map((name): [string, number[]] => [keyOf(name), []]));
  header.forEach((name, position) => {
    positions.get(keyOf(name))?.push(position);
  });
  const missing = wanted.filter((name) => positions.get(keyOf(name))!.length === 0);
  if (missing.length > 0 && missing.length === wanted.length) {
    throw refuse(`The first line, ${shownLine(firstLine)}, must be a header with ${wanted.join(', ')}.`);
  }
  if (missing.length > 0) throw refuse(`The header lacks ${missing.map(withNearest).join(', ')}. Add these columns.`);
  return wanted.map((name) => {
    const found = positions.get(keyOf(name))!;
    if (found.length === 1) return found[0]!;
    const places = found.map((position) => `column ${position + 1} (${header[position]!.trim()})`);
    throw refuse(`The header names ${name} ${found.length} times: ${places.join(', ')}. Rename or drop all but one.`);
  });

  function withNearest(name: string): string {
    const nearest = nearestColumn(name, header);
    return nearest === undefined ? name : `${name} (did you mean ${nearest}?)`;
  }
}

/** The position of the target, named exactly, in a header whose columns are all going to be features. */
export function findTarget(layout: Header, target: string): number {
  const { header } = layout;
  const shown = header.map(shownName);
  const names = shown.filter((name) => name !== '');
  findColumns(layout, names);
  const position = shown.indexOf(target);
  if (position !== -1) return position;
  const nearest = nearestColumn(target, header);
  const question = nearest === undefined ? '' : ` Did you mean ${nearest}?`;
  const more = names.length > SHOWN_NAMES ? ', …' : '';
  const found = names.length > 0 ? `${names.slice(0, SHOWN_NAMES).join(', ')}${more}` : 'no names';
  throw refuse(`The header has no column ${target}.${question} It has ${found}.`);
}

/** The name that was perhaps meant, as it is written in the header: the same but for case or a letter or two, or more than was asked for. */
function nearestColumn(name: string, header: readonly string[]): string | undefined {
  return meantName(keyOf(name), header.map(shownName).filter(Boolean));
}

/** The beginning of a line, as it is shown in messages. */
export function shownLine(line: string): string {
  return JSON.stringify(line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}…` : line);
}

const refuse = (detail: string) => new RidgelineError('training_data', { detail });
