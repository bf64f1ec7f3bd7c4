import fc from 'fast-check';
import { expect, test } from 'vitest';
import { settingNames } from '../src/config.ts';
import { editDistance, meantName, nearestName } from '../src/nearest-name.ts';

test.each([
  ['', '', 0],
  ['PORT', 'PORT', 0],
  ['', 'PORT', 4],
  ['PROT', 'PORT', 2],
  ['DATABSE_URL', 'DATABASE_URL', 1],
  ['kitten', 'sitting', 3],
])('%s and %s are %d edits apart, either way', (from, to, distance) => {
  expect([editDistance(from, to), editDistance(to, from)]).toEqual([distance, distance]);
});

test.each([
  ['DATABSE_URL', 'DATABASE_URL'],
  ['DATABSE_ULR', undefined],
  ['DATABAES_URL', 'DATABASE_URL'],
  ['DB_URL', undefined],
  ['PORTS', 'PORT'],
  ['PROT', undefined],
  ['WORKER', 'WORKERS'],
  ['WORKRE', undefined],
  ['MODEL_DIR', 'MODELS_DIR'],
  ['\uFEFFPORT', 'PORT'],
  ['POSTGRES_PASSWORD', undefined],
])('%s is nearly %s', (name, setting) => {
  expect(nearestName(name, settingNames)).toBe(setting);
});

test.each([
  ['crim', ['CRIM'], undefined],
  ['RN', ['RM'], undefined],
  ['RM', ['RM'], 'RM'],
  ['acidty', ['acid', 'acidity', 'acidify'], 'acidity'],
  ['a', [], undefined],
])('%s among %j is %s', (written, names, nearest) => {
  expect(nearestName(written, names)).toBe(nearest);
});

/** By its definition, word by word from the front. */
function distanceOf(from: string, to: string): number {
  if (from === '' || to === '') return from.length + to.length;
  const replaced = distanceOf(from.slice(1), to.slice(1)) + Number(from[0] !== to[0]);
  return Math.min(replaced, distanceOf(from.slice(1), to) + 1, distanceOf(from, to.slice(1)) + 1);
}

const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 });

test('the distance is that of the definition, or more than was asked for', () => {
  fc.assert(
    fc.property(word, word, fc.nat(4), (from, to, most) => {
      const distance = distanceOf(from, to);
      expect(editDistance(from, to)).toBe(distance);
      if (distance <= most) expect(editDistance(from, to, most)).toBe(distance);
      else expect(editDistance(from, to, most)).toBeGreaterThan(most);
    }),
  );
});

test.each([
  ['preis', 'Preis (€)'],
  ['Fläche (m2)', 'Fläche (m²)'],
  ['läche', 'Fläche (m²)'],
  ['Zimmer', undefined],
  ['Zi', undefined],
  ['Miete', undefined],
])('%s may mean %s', (written, meant) => {
  expect(meantName(written, ['Preis (€)', 'Fläche (m²)', 'Zimmer oben', 'Zimmer unten'])).toBe(meant);
});

test('words of 50,000 letters are compared near the diagonal alone, as all pairs of letters would take minutes', () => {
  const word = 'ab'.repeat(25_000);
  expect(editDistance(`${word}c`, `c${word}`, 2)).toBe(2);
  expect(editDistance(word, `c${word.slice(3)}`, 2)).toBe(Number.POSITIVE_INFINITY);
});
