import fc from 'fast-check';
import { expect, test } from 'vitest';
import { metricNames, metricOf } from '../../src/metrics/catalogue.ts';
import { createHistogram } from '../../src/metrics/histogram.ts';
import { combine, onlyCounts, type Samples } from '../../src/metrics/samples.ts';

function durations(...seconds: number[]) {
  const histogram = createHistogram();
  for (const one of seconds) histogram.observe(one);
  return histogram.value();
}

const one: Samples = {
  ridgeline_http_requests_total: [
    [['/predict', '200'], 3],
    [['none', '404'], 1],
  ],
  ridgeline_http_request_duration_seconds: [[['/predict'], durations(0.001, 1)]],
  ridgeline_prediction_log_backlog_rows: [[[], 5]],
  ridgeline_prediction_log_backlog_age_seconds: [[[], 7]],
  ridgeline_pipeline_info: [[['v1', 'ab'], 1]],
  process_start_time_seconds: [[[], 100]],
};
const other: Samples = {
  ridgeline_http_requests_total: [[['/predict', '200'], 4]],
  ridgeline_http_request_duration_seconds: [[['/predict'], durations(1)]],
  ridgeline_prediction_log_backlog_rows: [[[], 6]],
  ridgeline_prediction_log_backlog_age_seconds: [[[], 2]],
  ridgeline_pipeline_info: [[['v2', 'cd'], 1]],
  process_start_time_seconds: [[[], 200]],
};

test('of several processes counts are added up, label by label, and gauges are what the catalogue says', () => {
  expect(combine([one, other])).toMatchObject({
    ridgeline_http_requests_total: [
      [['/predict', '200'], 7],
      [['none', '404'], 1],
    ],
    ridgeline_http_request_duration_seconds: [[['/predict'], durations(0.001, 1, 1)]],
    ridgeline_prediction_log_backlog_rows: [[[], 11]],
    ridgeline_prediction_log_backlog_age_seconds: [[[], 7]],
    ridgeline_pipeline_info: [
      [['v1', 'ab'], 1],
      [['v2', 'cd'], 1],
    ],
    process_start_time_seconds: [[[], 100]],
  });
});

test('counts and seconds add up to the same in whichever order, to the last bit', () => {
  const seconds = fc.nat(10 ** 13).map((microseconds) => microseconds / 1e6);
  const toSamples = (value: number): Samples => ({
    process_cpu_seconds_total: [[[], value]],
    ridgeline_inference_rows_total: [[[], Math.round(value)]],
    ridgeline_inference_run_duration_seconds: [[[], { ...durations(), sum: value }]],
  });
  fc.assert(
    fc.property(fc.array(seconds, { minLength: 2, maxLength: 6 }), fc.nat(), (values, pivot) => {
      const at = pivot % values.length;
      const moved = [...values.slice(at), ...values.slice(0, at).reverse()].map(toSamples);
      const [first, ...others] = moved;
      expect(combine([first!, combine(others)])).toEqual(combine(values.map(toSamples)));
    }),
  );
});

test('they survive the way from one process to another', () => {
  expect(combine([JSON.parse(JSON.stringify(one)) as Samples, other])).toEqual(combine([one, other]));
});

test('of a process that is gone its counts remain', () => {
  const { ridgeline_http_requests_total, ridgeline_http_request_duration_seconds, ...others } = onlyCounts(one);
  expect({ ridgeline_http_requests_total, ridgeline_http_request_duration_seconds }).toEqual({
    ridgeline_http_requests_total: one.ridgeline_http_requests_total,
    ridgeline_http_request_duration_seconds: one.ridgeline_http_request_duration_seconds,
  });
  expect(Object.values(others).flat()).toEqual([]);
});

test('every gauge says what it is for several processes, and every count ends as Prometheus has it', () => {
  for (const name of metricNames) {
    const { type, across } = metricOf(name);
    expect(across !== undefined, name).toBe(type === 'gauge');
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
  }
});
