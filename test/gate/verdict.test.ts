/** The test against scipy's numbers, and the looks against worlds in which the truth about both pipelines is known. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { describe, expect, test } from 'vitest';
import { type PairedTest, pairedTest } from '../../src/gate/paired-test.ts';
import { upperTailOfT } from '../../src/gate/student-t.ts';
import { judge, levelOf, rowsOfNextLook } from '../../src/gate/verdict.ts';

const golden = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../oracle/fixtures/learning-loop/${name}.json`), 'utf8'));

describe('the tail of Student’s t', () => {
  const cases = golden('distributions').student_t_sf as { x: number; df: number; p: number }[];

  test.each(cases)('is that of scipy for t = $x and $df degrees of freedom', ({ x, df, p }) => {
    expect(Math.abs(upperTailOfT(x, df) - p) / p).toBeLessThan(1e-12);
  });
});

interface GoldenCase {
  name: string;
  actual: number[];
  champion: number[];
  challenger: number[];
  expected: Record<string, number | null> & { alpha: number; decision: string; reason: string };
}

describe('the paired test', () => {
  test.each(golden('gate').cases as GoldenCase[])('of "$name" is that of scipy', (one) => {
    const { expected } = one;
    const found = pairedTest(one.actual, one.champion, one.challenger);
    const near = (value: number | null, other: number | null) =>
      value === null || other === null
        ? expect(value).toBe(other)
        : expect(Math.abs(value - other)).toBeLessThan(1e-9 * Math.max(1, Math.abs(other)));
    expect(found.n).toBe(expected.n);
    near(found.championRmse, expected.champion_rmse!);
    near(found.challengerRmse, expected.challenger_rmse!);
    near(found.meanDifference, expected.mean_difference!);
    near(found.t, expected.t!);
    near(found.pBetter, expected.p_better!);
    near(found.pWorse, expected.p_worse!);
    expect(judge(found, expected.alpha)).toEqual({ decision: expected.decision, reason: expected.reason });
  });

  const answers = fc.array(
    fc.record({
      actual: fc.double({ min: -1e12, max: 1e12, noNaN: true }),
      champion: fc.double(),
      challenger: fc.double(),
    }),
    { minLength: 1, maxLength: 300 },
  );
  const test_ = (rows: { actual: number; champion: number; challenger: number }[]) =>
    pairedTest(
      rows.map(({ actual }) => actual),
      rows.map(({ champion }) => champion),
      rows.map(({ challenger }) => challenger),
    );

  test('gives finite numbers or null, and the other side when both change places, whatever the answers', () => {
    fc.assert(
      fc.property(answers, (rows) => {
        const found = test_(rows);
        for (const value of Object.values(found)) expect(value === null || Number.isFinite(value)).toBe(true);
        const swapped = test_(rows.map((row) => ({ ...row, champion: row.challenger, challenger: row.champion })));
        expect(swapped.pBetter).toBe(found.pWorse);
        expect(swapped.pWorse).toBe(found.pBetter);
      }),
    );
  });

  test('of differences that are all the same needs no t', () => {
    const n = 100;
    const of = (value: number) => Array.from({ length: n }, () => value);
    expect(pairedTest(of(0), of(2), of(1))).toMatchObject({ t: null, pBetter: 0, pWorse: 1, meanDifference: 3 });
    expect(judge(pairedTest(of(0), of(1), of(2)), 0.05)).toEqual({ decision: 'rejected', reason: 'worse' });
    expect(judge(pairedTest(of(0), of(1), of(-1)), 0.05)).toEqual({ decision: 'held', reason: 'no_difference' });
  });

  test('counts an answer that is no number as an error, not as a row less', () => {
    const n = 150;
    const zeros = Array.from({ length: n }, () => 0);
    const worse = zeros.map((_, i) => (i < 20 ? Number.NaN : 0.1));
    const found = pairedTest(
      zeros,
      zeros.map(() => 1),
      worse,
    );
    expect(found.n).toBe(n);
    expect(judge(found, 0.05).decision).not.toBe('promoted');
  });
});

describe('the looks', () => {
  test('are at 100, 200, 400, 800 and 1,600 rows, and their levels add up to no more than 0.05', () => {
    const looks = [];
    for (let rows: number | undefined = 0; rows !== undefined; rows = rowsOfNextLook(rows)) looks.push(rows);
    expect(looks).toEqual([0, 100, 200, 400, 800, 1_600]);
    expect(rowsOfNextLook(150)).toBe(200);
    expect(rowsOfNextLook(10_000)).toBeUndefined();
    expect(levelOf(1)).toBe(0.025);
    const sum = Array.from({ length: 1_000 }, (_, i) => levelOf(i + 1)).reduce((a, b) => a + b);
    expect(sum).toBeLessThan(0.05);
  });

  const RUNS = 2_000;
  const ROWS = 1_600;
  /** sqrt(0.384) standard deviations: added to an error it makes the RMSE 1 / 0.85 of what it was. */
  const OTHER = Math.sqrt(0.384);

  /** The share of worlds in which the challenger is promoted at one of the looks up to so many rows. */
  function promotedIn(
    seed: number,
    upTo: number,
    errors: (normal: () => number) => [champion: number, challenger: number],
  ) {
    const random = xoroshiro128plus(seed);
    const normal = () =>
      Math.sqrt(-2 * Math.log(1 - uniformFloat64(random))) * Math.cos(2 * Math.PI * uniformFloat64(random));
    let promoted = 0;
    for (let run = 0; run < RUNS; run++) {
      const pairs = Array.from({ length: Math.min(ROWS, upTo) }, () => errors(normal));
      const [champion, challenger] = [0, 1].map((side) => pairs.map((pair) => pair[side]!)) as [number[], number[]];
      const at = (n: number): PairedTest =>
        pairedTest(new Float64Array(n), champion.slice(0, n), challenger.slice(0, n));
      let look = 1;
      for (let n = rowsOfNextLook(0); n !== undefined && n <= upTo; n = rowsOfNextLook(n)) {
        const { decision } = judge(at(n), levelOf(look++));
        if (decision === 'promoted') promoted++;
        if (decision !== 'held') break;
      }
    }
    return promoted / RUNS;
  }

  test.each([1, 2, 3])('promote what has 15 % less error by 200 rows in 90 of 100 worlds (seed %i)', (seed) => {
    const share = promotedIn(seed, 200, (normal) => {
      const error = normal();
      return [error + OTHER * normal(), error];
    });
    expect(share).toBeGreaterThanOrEqual(0.9);
  });

  test.each([1, 2, 3])('promote what is no better in at most 5 of 100, over all of them (seed %i)', (seed) => {
    const share = promotedIn(seed, ROWS, (normal) => {
      const error = normal();
      return [error + OTHER * normal(), error + OTHER * normal()];
    });
    expect(share).toBeLessThanOrEqual(0.05);
  });

  test.each([1, 2, 3])('promote what is worse in at most 1 of 1,000 (seed %i)', (seed) => {
    const share = promotedIn(seed, ROWS, (normal) => {
      const error = normal();
      return [error, error + OTHER * normal()];
    });
    expect(share).toBeLessThanOrEqual(0.001);
  });
});
