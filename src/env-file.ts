/** A `.env` file, read by Node's own parser. What that skips in silence is named here. */
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

export interface EnvFile {
  values: Record<string, string>;
  /** What cannot be read, each as a sentence; none repeats a value. */
  problems: string[];
  /** Names that are there more than once. The last one counts. */
  repeated: string[];
}

/** A file of another kind is wrong in every line; the first few show it. */
const MAX_PROBLEMS = 5;

const BYTE_ORDER_MARK = /^\uFEFF/;
/** A comment, or a setting: the name, and a value that is quoted whole (over several lines even) or not at all. */
const LINE =
  /^[ \t]*(?:#.*|(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*((?:"[^"]*"|'[^']*'|`[^`]*`)[ \t]*(?:#.*)?|[^\s"'`].*)?)$/gm;

/** An absent file is an empty one. */
export function readEnvFile(path: string): EnvFile {
  try {
    return parseEnvFile(readFileSync(path));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { values: {}, problems: [], repeated: [] };
    const advice =
      code === 'EISDIR' ? 'It is a directory: remove it.' : 'Let the user that runs this read it, or remove it.';
    return { values: {}, problems: [`.env cannot be read (${message}). ${advice}`], repeated: [] };
  }
}

export function parseEnvFile(bytes: Buffer): EnvFile {
  // Windows PowerShell and Notepad write such files.
  if (bytes.includes(0)) {
    return { values: {}, problems: ['.env is UTF-16 or no text at all. Save it as UTF-8.'], repeated: [] };
  }
  const text = bytes.toString('utf8').replace(BYTE_ORDER_MARK, '').replace(/\r\n?/g, '\n');
  const entries: [name: string, value: string][] = [];
  const rest = text.replace(LINE, (line, name?: string, value = '') => {
    if (name === undefined) return '';
    entries.push([name, value]);
    return line.includes('\uFFFD') ? line : line.replace(/[^\n]/g, '');
  });
  const problems = rest.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    if (line.includes('\uFFFD')) return [`.env line ${index + 1} is not UTF-8. Save the file as UTF-8.`];
    return [`.env line ${index + 1} is not NAME=value, with the value in one pair of quotes or in none.`];
  });
  const names = entries.map(([name]) => name);
  return {
    // The parser gets plain lines only, as it has rules of its own for tabs, comments with a sign and line ends.
    values:
      problems.length > 0
        ? {}
        : (parseEnv(entries.map((entry) => entry.join('=')).join('\n')) as Record<string, string>),
    problems: problems.slice(0, MAX_PROBLEMS),
    repeated: [...new Set(names.filter((name, index) => names.indexOf(name) !== index))],
  };
}
