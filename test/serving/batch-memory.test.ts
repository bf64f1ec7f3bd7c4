import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type FeatureRow, type FeatureRows, toFeatureRows, valueOfSlot } from '../../src/contract/rows.ts';
import { createBatchMemory } from '../../src/serving/batch-memory.ts';
import { contractOf, wines } from '../support/declaration.ts';

const places = contractOf([
  { name: 'district', dtype: 'string', categories: ['Wola', 'Mokotów'], nullable: true },
  { name: 'size', dtype: 'float64', nullable: true },
  { name: 'remark', dtype: 'string', nullable: true },
]);

const text = fc.oneof(fc.constantFrom('Wola', 'Mokotów', 'Ochota'), fc.string({ unit: 'grapheme', maxLength: 5 }));
const row: fc.Arbitrary<FeatureRow> = fc.record({
  district: fc.option(text),
  // As large as the place of a text, and larger.
  size: fc.option(fc.integer({ min: 0, max: 9 })),
  remark: fc.option(text),
});

function valuesOf({ contract, rows, features, texts }: FeatureRows) {
  const width = contract.features.length;
  return Array.from({ length: rows * width }, (_, i) =>
    valueOfSlot(contract.features[i % width]!, features[i]!, { contract, ...(texts && { texts }) }),
  );
}

test('rows that are put together mean what they meant before, whatever texts they bring', () => {
  const memory = createBatchMemory({ maxRows: 100, maxJoinedRows: 40 });
  fc.assert(
    fc.property(fc.array(fc.array(row, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 10 }), (bodies) => {
      const jobs = bodies.map((body) => toFeatureRows(places, body));
      const { features, texts } = memory.join(jobs);
      const rows = jobs.reduce((sum, job) => sum + job.rows, 0);
      const joined = { contract: places, rows, features, ...(texts && { texts }) };
      expect(valuesOf(joined)).toEqual(bodies.flat().flatMap(({ district, size, remark }) => [district, size, remark]));
      expect(valuesOf(joined)).toEqual(jobs.flatMap(valuesOf));
    }),
  );
});

test('a lone job is taken as it is, and has the texts that it brought', () => {
  const memory = createBatchMemory({ maxRows: 100, maxJoinedRows: 1 });
  const job = toFeatureRows(places, [{ district: 'Ochota', size: null, remark: null }]);
  expect(memory.join([job])).toEqual({ features: job.features, texts: ['Ochota'] });
  expect(memory.join([job]).features).toBe(job.features);
});

test('without texts of their own rows bring none, so that numbers alone cost what they did', () => {
  const memory = createBatchMemory({ maxRows: 100, maxJoinedRows: 100 });
  const numbers = (n: number): FeatureRows => ({ contract: wines, rows: 1, features: [n, n, n, n, n] });
  expect(memory.join([numbers(1), numbers(2)])).toEqual({ features: Float64Array.of(1, 1, 1, 1, 1, 2, 2, 2, 2, 2) });
});

test('the memory grows with the width of the contract', () => {
  const memory = createBatchMemory({ maxRows: 4, maxJoinedRows: 4 });
  for (const width of [1, 50, 3, 400]) {
    const contract = contractOf(Array.from({ length: width }, (_, i) => ({ name: `f${i}`, dtype: 'float64' })));
    const job = { contract, rows: 2, features: Float64Array.from({ length: 2 * width }, (_, i) => i) };
    const { features } = memory.join([job, job]);
    expect(features).toEqual(Float64Array.of(...job.features, ...job.features));
  }
});
