/**
 * Bytes as JSON, the general way: the value by JSON.parse, or a sentence that says what is wrong and where. Also the keys
 * that an object has twice, of which JSON.parse takes the last in silence.
 */
import { isUtf8 } from 'node:buffer';
import { type FieldError, MAX_FIELD_ERRORS, RidgelineError } from '../errors.ts';
import { findJsonFault, type JsonFault } from './json-faults.ts';

export type ParsedBody = { value: unknown; repeated: FieldError[] } | { error: RidgelineError };

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

/** Without the byte order mark that some editors and shells write in front, which RFC 8259 (8.1) lets a parser ignore. */
export function withoutMark(bytes: Buffer): Buffer {
  const [first, second, third] = BYTE_ORDER_MARK;
  return bytes[0] === first && bytes[1] === second && bytes[2] === third ? bytes.subarray(3) : bytes;
}

/** `mayName` is asked whether a fault may be told by a name: those that a body of the route has. */
export function parseBody(bytes: Buffer, mayName: (name: string) => boolean): ParsedBody {
  const text = bytes.toString('utf8');
  const encoding = encodingFault(bytes, text);
  if (encoding) return { error: unreadable(text, encoding) };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const fault = findJsonFault(text, { mayName });
    return { error: fault ? unreadable(text, fault) : new RidgelineError('invalid_json', { cause }) };
  }
  const repeated: FieldError[] = [];
  findJsonFault(text, {
    mayName: (name) => mayName(name) || isPlainName(name),
    onRepeated(pointer) {
      // One more than is reported shows that there are more.
      if (repeated.length <= MAX_FIELD_ERRORS) repeated.push({ pointer, ...duplicate });
    },
  });
  return { value, repeated };
}

/** A name that could be a misspelt feature is worth pointing at; anything else of the caller's is not sent back. */
export function isPlainName(key: string): boolean {
  return /^\w{1,32}$/.test(key);
}

const duplicate = { code: 'duplicate_field', message: 'This field is there more than once. Send it once.' };

/** JSON begins with two characters of ASCII, so that a zero among the first two bytes, or a mark, tells (RFC 4627, 3). */
function encodingFault(bytes: Buffer, text: string): JsonFault | undefined {
  const mark = bytes.length < 2 ? 0 : bytes.readUInt16BE(0);
  if (mark === 0xfffe || mark === 0xfeff || bytes[0] === 0 || bytes[1] === 0) {
    return { at: 0, message: 'the body is in UTF-16 or UTF-32, not in UTF-8', pointer: '' };
  }
  if (isUtf8(bytes)) return undefined;
  // Bytes that are not UTF-8 were replaced in the text, so it differs from them.
  const again = Buffer.from(text);
  const at = bytes.findIndex((byte, place) => byte !== again[place]);
  return { at: bytes.toString('utf8', 0, at).length, message: 'this is not encoded in UTF-8', pointer: '' };
}

function unreadable(text: string, { at, message, pointer }: JsonFault): RidgelineError {
  let line = 1;
  let lineStart = 0;
  for (let end = text.indexOf('\n'); end !== -1 && end < at; end = text.indexOf('\n', lineStart)) {
    line++;
    lineStart = end + 1;
  }
  const place = `line ${line}, column ${at - lineStart + 1}`;
  return new RidgelineError('invalid_json', {
    detail: `At ${place}${pointer && ` (${pointer})`}: ${message}.`,
    errors: [{ pointer, code: 'unreadable', message: `${message[0]!.toUpperCase()}${message.slice(1)}.` }],
  });
}
