/** Against JSON.parse: a fault is found where it refuses, and only there; its place is where a beginning of JSON ends. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findJsonFault } from '../../src/http/json-faults.ts';

const mayName = (key: string) => !key.includes(' ');
const faultOf = (text: string) => findJsonFault(text, { mayName });

function repeatedIn(text: string): string[] {
  const pointers: string[] = [];
  expect(findJsonFault(text, { mayName, onRepeated: (pointer) => pointers.push(pointer) })).toBeUndefined();
  return pointers;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What may be missing of the token in which a text ends. */
const endsOfTokens = [
  '',
  '"',
  '0',
  '""',
  '"":0',
  ':0',
  '":0',
  'rue',
  'ue',
  'e',
  'alse',
  'lse',
  'se',
  'ull',
  'll',
  'l',
].concat(['\\"', 'n"', '0000"', '000"', '00"', '0"'].flatMap((end) => [end, `${end}:0`]));

/** Whether any JSON begins with the text: tried with every end of its last token and the brackets that are open. */
function beginsJson(text: string): boolean {
  let closers = '';
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*(?:"|\\?$)|[[\]{}]/g)) {
    if (token === '{') closers = `}${closers}`;
    else if (token === '[') closers = `]${closers}`;
    else if (token === '}' || token === ']') closers = closers.slice(1);
  }
  return endsOfTokens.some((end) => isJson(text + end + closers));
}

const json = fc.oneof(
  fc.json(),
  fc.json({ maxDepth: 3 }).map((text) => JSON.stringify(JSON.parse(text), null, 1)),
  fc.constantFrom('{"instances":[{"A":1,"B":-2.5e+10},{"A":NaN}]}', '[0.5,-0,1E3,true,false,null,"\\u00e9\\n"]'),
);
const changed = fc
  .tuple(
    json,
    fc.array(
      fc.record({
        at: fc.nat(),
        removed: fc.nat(2),
        added: fc.constantFrom(...'0129-+.eE"\\,:{}[] tfnuN\'\t\0é/', ''),
      }),
      {
        maxLength: 3,
      },
    ),
  )
  .map(([text, changes]) =>
    changes.reduce((current, { at, removed, added }) => {
      const place = at % (current.length + 1);
      return current.slice(0, place) + added + current.slice(place + removed);
    }, text),
  );

describe('the place of a fault', () => {
  test('is there exactly where JSON.parse refuses a text, and divides what begins JSON from what does not', () => {
    let refused = 0;
    fc.assert(
      fc.property(changed, (text) => {
        const fault = faultOf(text);
        expect(fault === undefined).toBe(isJson(text));
        if (!fault) return;
        refused++;
        expect(beginsJson(text.slice(0, fault.at))).toBe(true);
        if (fault.at < text.length) expect(beginsJson(text.slice(0, fault.at + 1))).toBe(false);
      }),
      { numRuns: 5000 },
    );
    expect(refused).toBeGreaterThan(1000);
  });

  test('does not move when the text behind it is another', () => {
    fc.assert(
      fc.property(changed, fc.string(), (text, more) => {
        const fault = faultOf(text);
        if (fault && fault.at < text.length) expect(faultOf(text.slice(0, fault.at + 1) + more)?.at).toBe(fault.at);
      }),
    );
  });

  test.each([
    ['{"a": NaN}', 6, 'NaN'],
    ['[-Infinity]', 2, 'Infinity'],
    ['[nan]', 2, 'NaN'],
    ['{"a": None}', 6, 'null'],
    ['[True]', 1, 'lower case'],
    ["{'a': 1}", 1, 'double quotes'],
    ['{"a": \'b\'}', 6, 'double quotes'],
    ['{a: 1}', 1, 'double quotes'],
    ['{"a": 1,}', 8, 'comma'],
    ['[1,]', 3, 'comma'],
    ['{"a": 1 // one\n}', 8, 'comments'],
    ['{"a": 1 # one\n}', 8, 'comments'],
    ['/* one */ {}', 0, 'comments'],
    ['[.5]', 1, 'begins with a digit'],
    ['[+1]', 1, 'begins with a digit'],
    ['[5.]', 3, 'behind its point'],
    ['[1e]', 3, 'exponent'],
    ['[01]', 2, 'zeros'],
    ['[0x10]', 2, 'decimal'],
    ['[1_000]', 2, 'decimal'],
    ['{} {}', 3, 'more follows'],
    ['{}x', 2, 'more follows'],
    ['{"a": 1', 7, 'ends here'],
    ['{"a', 3, 'ends here'],
    ['[tr', 3, 'ends here'],
    ['[-', 2, 'ends here'],
    ['', 0, 'empty'],
    [' \n', 2, 'empty'],
    ['{"a" 1}', 5, 'colon'],
    ['{"a": 1 "b": 2}', 8, 'comma or a closing'],
    ['{"a":, "b": 1}', 5, 'value is missing'],
    ['["a\nb"]', 3, 'control character'],
    ['["\\x"]', 3, 'escape'],
    ['[trux]', 4, 'no value'],
    ['@', 0, 'no value'],
  ])('of %j is %i, and its sentence says %s', (text, at, said) => {
    expect(faultOf(text)).toMatchObject({ at, message: expect.stringContaining(said) });
  });

  test('leads to the value that is read there, by names that may be told', () => {
    expect(faultOf('{"instances":[{"RM":1},{"RM":NaN}]}')?.pointer).toBe('/instances/1/RM');
    expect(faultOf('{"instances":[{"RM":1},{"RM":1,}]}')?.pointer).toBe('/instances/1');
    expect(faultOf('{"instances":[{"RM":1},]}')?.pointer).toBe('/instances/1');
    expect(faultOf('{"a <b>":{"RM":NaN}}')?.pointer).toBe('');
  });

  test('is found in the deepest nesting, and its sentence repeats nothing of the text', () => {
    expect(faultOf('['.repeat(200_000))?.at).toBe(200_000);
    expect(faultOf(`${'{"a":'.repeat(50_000)}!`)?.at).toBe(250_000);
    expect(JSON.stringify(faultOf('{"secret key": secret}'))).not.toContain('secret');
  });
});

describe('keys that stand twice in one object', () => {
  test.each([
    ['{"a":1,"a":1}', ['/a']],
    ['{"a":1,"\\u0061":2}', ['/a']],
    ['{"__proto__":1,"__proto__":2}', ['/__proto__']],
    ['{"a":1,"b":{"a":1,"c":{"d":1,"d":2}}}', ['/b/c/d']],
    ['[{"a":1},{"a":1,"a":2,"a":3}]', ['/1/a', '/1/a']],
    ['{"instances":[],"instances":[{"a":1,"a":1}]}', ['/instances', '/instances/0/a']],
    ['{"a b":1,"a b":1}', ['']],
    ['{"a":[{"b":1},{"b":1}],"b":{"a":"a","b":"b"}}', []],
    ['{"a":{},"b":[],"c":"{\\"a\\":1,\\"a\\":1}"}', []],
  ])('of %s are at %j', (text, pointers) => {
    expect(repeatedIn(text)).toEqual(pointers);
  });

  test('are as many as JSON.parse has left out', () => {
    const key = fc.constantFrom('a', 'b', '\\u0061', '__proto__', 'constructor', '');
    const object = fc
      .array(fc.tuple(key, fc.constantFrom('1', '[]', '"a"', '{"a":1}')), { maxLength: 6 })
      .map((fields) => [`{${fields.map(([name, value]) => `"${name}":${value}`).join(',')}}`, fields.length] as const);
    fc.assert(
      fc.property(object, ([text, fields]) => {
        expect(repeatedIn(text)).toHaveLength(fields - Object.keys(JSON.parse(text) as object).length);
      }),
    );
  });
});
