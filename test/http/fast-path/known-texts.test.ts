import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createKnownTexts, textOf, UNKNOWN } from '../../../src/http/fast-path/known-texts.ts';
import { anyText } from '../../support/any-json.ts';

const quoted = (text: string) => Buffer.from(`  ${JSON.stringify(text)}:`);
/** Without the space in front and the colon behind. */
const lengthOf = (body: Buffer) => body.length - 1;

test('every known text is found by its bytes, and no other', () => {
  fc.assert(
    fc.property(fc.uniqueArray(anyText, { maxLength: 20 }), anyText, (texts, other) => {
      const known = createKnownTexts(texts);
      for (const text of [...texts, other]) {
        const end = { at: 0 };
        const body = quoted(text);
        const place = known.placeOf(body, 2, end);
        expect(end.at).toBe(lengthOf(body));
        const hasEscape = body.includes('\\');
        expect(place).toBe(hasEscape || !texts.includes(text) ? UNKNOWN : texts.indexOf(text));
      }
    }),
  );
});

test('ten thousand texts are found', () => {
  const texts = Array.from({ length: 10_000 }, (_, i) => `category ${i}`);
  const known = createKnownTexts(texts);
  expect(texts.map((text) => known.placeOf(quoted(text), 2, { at: 0 }))).toEqual(texts.map((_, place) => place));
});

test.each(['"no end', '"a\tb"', '"a\0"', 'a"', '"ends in \\'])('where %j begins is no string', (text) => {
  expect(createKnownTexts(['a']).placeOf(Buffer.from(text), 0, { at: 0 })).toBe(-1);
});

test('a string is what JSON.parse makes of it, or nothing where it is not UTF-8, no JSON, or cannot be stored', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const body = quoted(text);
      expect(textOf(body, 2, lengthOf(body))).toBe(text.includes('\ufffd') ? undefined : text);
    }),
  );
  for (const text of ['"\\ud83d\\udc27"', '"\\u0041\\/"']) {
    expect(textOf(Buffer.from(text), 0, text.length)).toBe(JSON.parse(text));
  }
  for (const text of ['"\\ud83d"', '"\\u0000"', '"\\x"', '"\\u12"']) {
    expect(textOf(Buffer.from(text), 0, text.length)).toBeUndefined();
  }
  const overlong = Buffer.from([0x22, 0xc0, 0x80, 0x22]);
  expect(textOf(overlong, 0, overlong.length)).toBeUndefined();
});
