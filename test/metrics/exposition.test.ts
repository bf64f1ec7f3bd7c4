import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { metricNames, metricOf } from '../../src/metrics/catalogue.ts';
import { expose } from '../../src/metrics/exposition.ts';
import { createHistogram, DURATION_BOUNDS } from '../../src/metrics/histogram.ts';
import type { Samples } from '../../src/metrics/samples.ts';

const durations = [0, 0.25, 0.5, 9.5, 10, 10.5, 60];

function observed() {
  const histogram = createHistogram();
  for (const seconds of durations) histogram.observe(seconds);
  return histogram.value();
}

const samples: Samples = {
  ridgeline_http_requests_total: [[['/a "b"\\\n', '200'], 2 ** 53 - 1]],
  ridgeline_http_request_duration_seconds: [
    [['/predict'], observed()],
    [['none'], createHistogram().value()],
  ],
  ridgeline_prediction_log_backlog_age_seconds: [[[], 0.25]],
};

test('a histogram is written as one that prom-client has counted itself', async () => {
  const registry = new Registry();
  const name = 'ridgeline_http_request_duration_seconds';
  const { help } = metricOf(name);
  const theirs = new Histogram({
    name,
    help,
    labelNames: ['route'],
    buckets: [...DURATION_BOUNDS],
    registers: [registry],
  });
  for (const seconds of durations) theirs.observe({ route: '/predict' }, seconds);
  theirs.zero({ route: 'none' });
  // The order of labels means nothing.
  const sorted = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort().join(',')}}`));
  const ours = (await expose(samples)).split('\n\n').find((block) => block.startsWith(`# HELP ${name} `))!;
  expect(sorted(ours)).toEqual(sorted(await registry.metrics()));
});

test('every metric of the catalogue is there with its type, also before it has a value; labels are escaped', async () => {
  const text = await expose(samples);
  for (const name of metricNames) expect(text).toContain(`# TYPE ${name} ${metricOf(name).type}\n`);
  expect(text).toContain('ridgeline_http_requests_total{route="/a \\"b\\"\\\\\\n",status="200"} 9007199254740991\n');
  expect(text).toContain('ridgeline_prediction_log_backlog_age_seconds 0.25\n');
});

test.runIf(existsSync('/usr/bin/promtool'))('promtool reads it without a complaint', async () => {
  expect(execFileSync('promtool', ['check', 'metrics'], { input: await expose(samples), encoding: 'utf8' })).toBe('');
});
