/** Every message that the sources can log for an operator to act on, as it is written there. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const src = join(import.meta.dirname, '../../src');

export interface LogMessage {
  level: string;
  /** What varies is `…`. */
  message: string;
  /** From src/. */
  file: string;
}

/** A call such as `log.warn(`, or `log[level](` where the level is decided before. */
const call = /\b\w+(?:\.(warn|error|fatal)|\[level\])\(/g;
/** What createOutage (outage.ts) is told to say when something begins to fail. */
const outage = /createOutage\(\{[^}]*?level: '(warn|error)',\s*begins: '([^'\n]*)'/g;
/** Texts that become warnings about settings, which src/server.ts logs. */
const aboutSettings = /(?:\.\.\.warning|\bwarnings\.push)\(/g;

/** Messages that a call takes from elsewhere: where those texts are found, or who makes them. */
export const passedOn: Record<string, string> = {
  'log.ts: message': 'Node',
  'outage.ts: begins': 'createOutage',
  'server.ts: warning': 'settings',
};

/** Throws for a call whose message can neither be read nor is one of `passedOn`. */
export function logMessages(): LogMessage[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .flatMap((file) => messagesIn(file, readFileSync(join(src, file), 'utf8')));
}

function messagesIn(file: string, text: string): LogMessage[] {
  const called = [...text.matchAll(call)].flatMap(({ 0: { length }, 1: level, index }) => {
    const given = argumentsAt(text, index + length);
    const message = textOf(given.at(-1)!, text);
    if (message !== undefined) return [{ level: level ?? 'warn or error', message, file }];
    if (`${file}: ${given.at(-1)}` in passedOn) return [];
    throw new Error(`src/${file} logs ${given.at(-1)}, which this test cannot read.`);
  });
  const outages = [...text.matchAll(outage)].map(([, level, message]) => ({ level: level!, message: message!, file }));
  if (outages.length !== text.split(/(?<!function )createOutage\(/).length - 1) {
    throw new Error(`src/${file} has an outage that this test cannot read.`);
  }
  const settings = [...text.matchAll(aboutSettings)].map(({ 0: { length }, index }) => {
    const about = textOf(argumentsAt(text, index + length)[0]!, text)!;
    return { level: 'warn', message: about.endsWith('…') ? about : `${about}: …`, file };
  });
  return [...called, ...outages, ...settings];
}

/** The arguments of a call, from behind its opening bracket. */
function argumentsAt(text: string, start: number): string[] {
  const found = [''];
  for (let at = start, depth = 0; at < text.length; at++) {
    const [token] = /^(?:'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[\s\S])/.exec(text.slice(at))!;
    if (depth === 0 && token === ')') break;
    if ('([{'.includes(token)) depth++;
    if (')]}'.includes(token)) depth--;
    if (depth === 0 && token === ',') found.push('');
    else found[found.length - 1] += token;
    at += token.length - 1;
  }
  return found.map((one) => one.trim()).filter((one) => one !== '');
}

/** Of a text, a template or a constant of the same file. */
function textOf(expression: string, file: string): string | undefined {
  const [, quoted] = /^'(.*)'$/s.exec(expression) ?? [];
  if (quoted !== undefined) return quoted;
  const [, template] = /^`(.*)`$/s.exec(expression) ?? [];
  if (template !== undefined) return template.replace(/\$\{[^}]*\}/g, '…');
  return new RegExp(`const ${expression} =\\s*'([^'\\n]*)'`).exec(file)?.[1];
}
