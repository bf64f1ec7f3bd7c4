/**
 * Samples in the text format of Prometheus, written by prom-client. A registry is filled for each scrape: what is counted
 * meanwhile are plain numbers (histogram.ts), which cost a request less than prom-client's own counters and come from several
 * processes.
 */
import { Counter, Gauge, type Metric, Registry } from 'prom-client';
import { metricNames, metricOf } from './catalogue.ts';
import { DURATION_BOUNDS, type HistogramValue } from './histogram.ts';
import type { Samples } from './samples.ts';

export const METRICS_MEDIA_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

export async function expose(samples: Samples): Promise<string> {
  const registry = new Registry();
  for (const name of metricNames) {
    const { type, help, labels: labelNames = [] } = metricOf(name);
    const labelled = (samples[name] ?? []).map(([texts, value]) => ({
      labels: Object.fromEntries(labelNames.map((label, i) => [label, texts[i]!])),
      value,
    }));
    const options = { name, help, labelNames, registers: [registry] };
    if (type === 'histogram') {
      registry.registerMetric(histogramOf(name, help, labelled as { labels: object; value: HistogramValue }[]));
    } else if (type === 'counter') {
      const counter = new Counter(options);
      for (const { labels, value } of labelled) counter.inc(labels, value as number);
    } else {
      const gauge = new Gauge(options);
      for (const { labels, value } of labelled) gauge.set(labels, value as number);
    }
  }
  return await registry.metrics();
}

/** A metric whose counts are there already: prom-client's own histograms only observe. It asks for nothing but `get`. */
function histogramOf(name: string, help: string, labelled: { labels: object; value: HistogramValue }[]): Metric {
  const values = labelled.flatMap(({ labels, value: { counts, sum } }) => {
    let count = 0;
    const buckets = counts.map((ofBucket, i) => {
      count += ofBucket;
      return { metricName: `${name}_bucket`, labels: { ...labels, le: DURATION_BOUNDS[i] ?? '+Inf' }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  });
  return { name, get: async () => ({ name, help, type: 'histogram', values }) } as unknown as Metric;
}
