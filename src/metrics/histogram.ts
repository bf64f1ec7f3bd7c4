/** Durations by their length, counted in arrays of fixed size: a number that V8 keeps elsewhere is made anew by each change. */

/** Upper bounds in seconds, each of its own bucket: 1, 1.5, 2.5, 4 and 6.5 a decade, from 100 us to 10 s. */
export const DURATION_BOUNDS: readonly number[] = [
  ...[-4, -3, -2, -1, 0].flatMap((exponent) => [1, 1.5, 2.5, 4, 6.5].map((digits) => Number(`${digits}e${exponent}`))),
  10,
];

export interface HistogramValue {
  /** Of each bucket by itself; the last is for what is longer than every bound. */
  counts: readonly number[];
  /** Of all durations, in seconds, each to the microsecond. */
  sum: number;
}

export interface Histogram {
  observe(seconds: number): void;
  value(): HistogramValue;
}

export function createHistogram(): Histogram {
  const counts = new Float64Array(DURATION_BOUNDS.length + 1);
  // A whole number, so that no addition rounds: see samples.ts.
  const microseconds = new Float64Array(1);
  return {
    observe(seconds) {
      microseconds[0]! += Math.round(seconds * 1e6);
      let low = 0;
      let high = DURATION_BOUNDS.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (seconds <= DURATION_BOUNDS[middle]!) high = middle;
        else low = middle + 1;
      }
      counts[low]!++;
    },
    value: () => ({ counts: [...counts], sum: microseconds[0]! / 1e6 }),
  };
}
