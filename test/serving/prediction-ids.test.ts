import { validate, version } from 'uuid';
import { expect, test } from 'vitest';
import { createPredictionIds } from '../../src/serving/prediction-ids.ts';

const newIds = createPredictionIds();
const NOW = Date.UTC(2026, 10, 22, 16, 8, 52, 7);

test('ids are UUIDs of version 7 that begin with the time, as bytes and as text', () => {
  const bytes = new Uint8Array(16 * 700);
  const texts = newIds(bytes, NOW);
  expect(texts).toHaveLength(700);
  texts.forEach((text, i) => {
    expect(validate(text) && version(text) === 7).toBe(true);
    expect(text.replaceAll('-', '')).toBe(Buffer.from(bytes.subarray(16 * i, 16 * i + 16)).toString('hex'));
    expect(Number.parseInt(text.slice(0, 8) + text.slice(9, 13), 16)).toBe(NOW);
  });
});

test('no two are the same, within a call and between calls', () => {
  const texts = Array.from({ length: 100 }, () => newIds(new Uint8Array(16_000), NOW)).flat();
  expect(new Set(texts).size).toBe(100_000);
});

test('they sort by time', () => {
  const texts = Array.from({ length: 300 }, (_, i) => newIds(new Uint8Array(16), NOW + i)[0]!);
  expect(texts.toSorted()).toEqual(texts);
});

test('there may be none', () => {
  expect(newIds(new Uint8Array(0), NOW)).toEqual([]);
});
