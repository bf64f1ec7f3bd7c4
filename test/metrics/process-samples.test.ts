import { expect, test } from 'vitest';
import { createProcessSamples } from '../../src/metrics/process-samples.ts';

test('what is told of this process is so', async () => {
  const samples = await createProcessSamples({ droppedLines: () => 3 })();
  const metric = (name: keyof typeof samples) => samples[name]![0]![1] as number;
  const { user, system } = process.cpuUsage();
  expect(metric('ridgeline_log_lines_dropped_total')).toBe(3);
  expect(Math.abs(metric('process_start_time_seconds') + process.uptime() - Date.now() / 1000)).toBeLessThan(1);
  expect(metric('process_cpu_seconds_total')).toBeGreaterThan(0);
  expect(metric('process_cpu_seconds_total')).toBeLessThanOrEqual((user + system) / 1e6);
  expect(metric('process_resident_memory_bytes')).toBeGreaterThan(metric('nodejs_heap_size_used_bytes'));
  if (process.platform === 'linux') expect(metric('process_open_fds')).toBeGreaterThan(3);
  expect(samples.nodejs_version_info).toEqual([[[process.version], 1]]);
});
