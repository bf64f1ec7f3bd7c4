/** What is known of metrics at a moment: plain data, which processes send each other, and how theirs become one. */
import { type MetricName, metricNames, metricOf } from './catalogue.ts';
import type { HistogramValue } from './histogram.ts';

type Value = number | HistogramValue;

/** The values of the labels, in the order of the catalogue, and what was measured. */
type Sample = readonly [labels: readonly string[], value: Value];

export type Samples = Partial<Record<MetricName, readonly Sample[]>>;

/** What all processes together are: see `across` in the catalogue. */
export function combine(all: readonly Samples[]): Samples {
  return Object.fromEntries(
    metricNames.map((name) => {
      const combined = new Map<string, Sample>();
      for (const [labels, value] of all.flatMap((samples) => samples[name] ?? [])) {
        const key = JSON.stringify(labels);
        const other = combined.get(key);
        combined.set(key, other ? [labels, both(name, other[1], value)] : [labels, value]);
      }
      return [name, [...combined.values()]];
    }),
  );
}

/** What stays true when the process is gone. */
export function onlyCounts(samples: Samples): Samples {
  const isCount = (name: MetricName) => metricOf(name).type !== 'gauge';
  return Object.fromEntries(metricNames.filter(isCount).map((name) => [name, samples[name] ?? []]));
}

function both(name: MetricName, one: Value, other: Value): Value {
  if (typeof one === 'number' && typeof other === 'number') {
    const { across = 'sum' } = metricOf(name);
    return across === 'sum' ? add(one, other) : Math[across](one, other);
  }
  const [a, b] = [one as HistogramValue, other as HistogramValue];
  return { counts: a.counts.map((count, i) => count + b.counts[i]!), sum: add(a.sum, b.sum) };
}

/**
 * Values are whole, or seconds to the microsecond: kept so, they add up to the same in whichever order. A count that went back
 * by a rounding when a process dies would be a restart to Prometheus.
 */
function add(one: number, other: number): number {
  return Math.round((one + other) * 1e6) / 1e6;
}
