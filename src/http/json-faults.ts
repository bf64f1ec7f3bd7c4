/**
 * What is wrong with a JSON text: where it ceases to be JSON, and which keys an object has twice. JSON.parse words the
 * first differently in each version of V8, sometimes without the place, and repeats what was sent; it does not report the
 * second. Only bodies that the row reader has given up on are scanned: once, from left to right, without recursion.
 *
 *   value -> [{] key -> [:] value ... -> after -> [,] key or element | [} ]] after of the enclosing one | end of the text
 */

export interface JsonFault {
  /** Where the text ceases to be the beginning of any JSON text, as an index into it. */
  at: number;
  /** What is wrong there, in a sentence without its full stop. It repeats nothing of the text. */
  message: string;
  /** JSON pointer (RFC 6901) to the value that is being read there, as far as its names may be told. */
  pointer: string;
}

export interface JsonScan {
  /** Whether a pointer may have this name in it: what else a caller has sent is not sent back. */
  mayName: (key: string) => boolean;
  /** Told the pointer of each key that stands in its object again. */
  onRepeated?: (pointer: string) => void;
}

type State = 'value' | 'first element' | 'element' | 'first key' | 'key' | 'after';

/** Deeper objects are not searched for repeated keys; a row is at depth 3 at most. */
const SEARCHED_DEPTH = 32;

/** The first fault of a text, if it has any. */
export function findJsonFault(text: string, { mayName, onRepeated }: JsonScan): JsonFault | undefined {
  /** Of each open object the key and of each open array the index that is being read. */
  const path: (string | number)[] = [];
  /** Of each open object the keys so far, down to SEARCHED_DEPTH. */
  const keys: Set<string>[] = [];
  let state: State = 'value';
  let at = 0;

  const fault = (where: number, message: string): JsonFault => ({
    at: where,
    message,
    pointer: pointerTo(path, mayName),
  });

  for (;;) {
    at = pastSpace(text, at);
    const char = text[at];
    if (char === undefined) return state === 'after' && path.length === 0 ? undefined : fault(at, endMessage(text));

    if (state === 'after') {
      if (path.length === 0) return fault(at, afterDocument(text, at));
      const isObject = typeof path.at(-1) === 'string';
      if (char === (isObject ? '}' : ']')) {
        path.pop();
        keys.length = Math.min(keys.length, path.length);
      } else if (char === ',') {
        path[path.length - 1] = isObject ? '' : (path.at(-1) as number) + 1;
        state = isObject ? 'key' : 'element';
      } else return fault(at, afterValue(text, at));
      at++;
      continue;
    }

    if (state === 'key' || state === 'first key') {
      if (char === '}' && state === 'first key') {
        state = 'after';
        continue;
      }
      if (char !== '"') return fault(at, keyMessage(text, at));
      const end = stringEnd(text, at);
      if (end < 0) return fault(~end, stringMessage(text, ~end));
      const key = textOf(text, at, end);
      path[path.length - 1] = key;
      const seen = keys[path.length - 1];
      if (seen?.has(key)) onRepeated?.(pointerTo(path, mayName));
      seen?.add(key);
      at = pastSpace(text, end);
      if (at === text.length) return fault(at, endMessage(text));
      if (text[at] !== ':') return fault(at, hintAt(text, at, marks) ?? 'a colon is missing behind the key');
      at++;
      state = 'value';
      continue;
    }

    if (char === '{' || char === '[') {
      path.push(char === '{' ? '' : 0);
      // Arrays have one too, so that the keys of a depth are at its index.
      if (path.length <= SEARCHED_DEPTH) keys[path.length - 1] = new Set();
      state = char === '{' ? 'first key' : 'first element';
      at++;
    } else if (char === ']' && state === 'first element') state = 'after';
    else {
      const end = scalarEnd(text, at);
      if (end < 0) return fault(~end, valueMessage(text, at, ~end));
      at = end;
      state = 'after';
    }
  }
}

function pointerTo(path: readonly (string | number)[], mayName: JsonScan['mayName']): string {
  let pointer = '';
  for (const key of path.slice(0, SEARCHED_DEPTH)) {
    if (typeof key === 'string' && (key === '' || !mayName(key))) break;
    pointer += `/${escapePointer(String(key))}`;
  }
  return pointer;
}

/** A name as a part of a JSON pointer. */
export function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function textOf(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  return inner.includes('\\') ? (JSON.parse(`"${inner}"`) as string) : inner;
}

function pastSpace(text: string, at: number): number {
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
}

/** Behind the string, number or word at `at`; where it ceases to be one, the complement (~) of that place. */
function scalarEnd(text: string, at: number): number {
  const char = text[at]!;
  if (char === '"') return stringEnd(text, at);
  if (char === '-' || isDigit(char)) return numberEnd(text, at);
  const word = ['true', 'false', 'null'].find((one) => one[0] === char);
  if (word === undefined) return ~at;
  for (let i = 1; i < word.length; i++) if (text[at + i] !== word[i]) return ~(at + i);
  return at + word.length;
}

function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at]!;
    if (char === '"') return at + 1;
    if (char < ' ') return ~at;
    if (char !== '\\') continue;
    at++;
    if (text[at] === 'u') {
      for (const last = at + 4; at < last; at++) if (!/[\da-f]/i.test(text[at + 1] ?? '')) return ~(at + 1);
    } else if (!/["\\/bfnrt]/.test(text[at] ?? '')) return ~at;
  }
  return ~text.length;
}

function numberEnd(text: string, start: number): number {
  let at = text[start] === '-' ? start + 1 : start;
  const digits = () => {
    const first = at;
    while (isDigit(text[at])) at++;
    return at > first;
  };
  if (text[at] === '0') at++;
  else if (!digits()) return ~at;
  if (text[at] === '.') {
    at++;
    if (!digits()) return ~at;
  }
  if (text[at] === 'e' || text[at] === 'E') {
    at++;
    if (text[at] === '+' || text[at] === '-') at++;
    if (!digits()) return ~at;
  }
  return at;
}

function isDigit(char: string | undefined): boolean {
  return char !== undefined && char >= '0' && char <= '9';
}

type Hint = readonly [begins: RegExp, message: string];

/** What the usual writers of almost-JSON mean: anywhere, and in the place of a value. */
const marks: readonly Hint[] = [
  [/'/y, 'JSON has double quotes, no single ones'],
  [/\/[/*]|#/y, 'JSON has no comments'],
];
const values: readonly Hint[] = [
  ...marks,
  [/-?(nan|inf)/iy, 'JSON has no NaN and no Infinity; send a finite number'],
  [/true|false|none|null|undefined/iy, 'JSON writes true, false and null, in lower case'],
  [/[+.]/y, 'a number begins with a digit or a minus'],
];

function hintAt(text: string, at: number, among: readonly Hint[]): string | undefined {
  return among.find(([begins]) => {
    begins.lastIndex = at;
    return begins.test(text);
  })?.[1];
}

function endMessage(text: string): string {
  return text.trim() === '' ? 'the body is empty' : 'the body ends here, before its JSON does';
}

function valueMessage(text: string, start: number, at: number): string {
  const hint = hintAt(text, start, values);
  if (at === text.length) return endMessage(text);
  if (hint) return hint;
  if (text[start] === '"') return stringMessage(text, at);
  if (/[-\d]/.test(text[start]!)) return 'a number has digits before and behind its point, and in its exponent';
  if (text[at] === ']') return 'a comma stands before the closing bracket; remove it';
  return /[,}:]/.test(text[at]!) ? 'a value is missing here' : 'no value begins so';
}

function stringMessage(text: string, at: number): string {
  if (at === text.length) return endMessage(text);
  return text[at]! < ' '
    ? 'a string holds no line end, tab or control character; write it as an escape'
    : 'this is no escape that JSON knows';
}

function keyMessage(text: string, at: number): string {
  if (text[at] === '}') return 'a comma stands before the closing brace; remove it';
  if (/[\w$]/.test(text[at]!)) return 'a key stands in double quotes';
  return hintAt(text, at, marks) ?? 'a key is missing here';
}

function afterDocument(text: string, at: number): string {
  return numberMessage(text, at) ?? hintAt(text, at, marks) ?? 'more follows behind the JSON; send one object';
}

function afterValue(text: string, at: number): string {
  return numberMessage(text, at) ?? hintAt(text, at, marks) ?? 'a comma or a closing bracket is missing here';
}

/** Where something follows a number without a space. */
function numberMessage(text: string, at: number): string | undefined {
  if (!isDigit(text[at - 1]) || !/[\w.]/.test(text[at]!)) return undefined;
  return isDigit(text[at]) ? 'a number has no zeros in front' : 'no number is written so; JSON has decimal ones only';
}
