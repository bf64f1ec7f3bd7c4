/**
 * What is known of a process, under the names that other services in Node have. prom-client's own collector knows only the
 * process in which it runs: with WORKERS above 1 that is the one that answers nobody.
 */
import { readdir } from 'node:fs/promises';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Samples } from './samples.ts';

export interface ProcessSamplesOptions {
  /** How many lines of its log could not be written. */
  droppedLines: () => number;
}

/** How often the event loop is looked at. */
const RESOLUTION_MS = 20;
/** A percentile is of this long at least, however often it is asked for. */
const WINDOW_MS = 10_000;

export function createProcessSamples({ droppedLines }: ProcessSamplesOptions): () => Promise<Samples> {
  let lagOf: (() => number) | undefined;
  const startedAt = performance.timeOrigin / 1000;
  return async () => {
    // Watched from the first question on, so that it costs nothing where nobody asks.
    lagOf ??= watchEventLoop();
    const cpu = process.cpuUsage();
    const memory = process.memoryUsage();
    const descriptors = await readdir('/proc/self/fd').catch(() => undefined);
    const one = (value: number) => [[[], value]] as const;
    return {
      ridgeline_log_lines_dropped_total: one(droppedLines()),
      process_cpu_user_seconds_total: one(cpu.user / 1e6),
      process_cpu_system_seconds_total: one(cpu.system / 1e6),
      process_cpu_seconds_total: one((cpu.user + cpu.system) / 1e6),
      process_start_time_seconds: one(startedAt),
      process_resident_memory_bytes: one(memory.rss),
      ...(descriptors && { process_open_fds: one(descriptors.length) }),
      nodejs_heap_size_total_bytes: one(memory.heapTotal),
      nodejs_heap_size_used_bytes: one(memory.heapUsed),
      nodejs_external_memory_bytes: one(memory.external),
      nodejs_eventloop_lag_p99_seconds: one(lagOf()),
      nodejs_version_info: [[[process.version], 1]],
    };
  };
}

/** In seconds. */
function watchEventLoop(): () => number {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let windowFrom = performance.now();
  let lag = 0;
  return () => {
    const now = performance.now();
    if (now - windowFrom < WINDOW_MS) return lag;
    // It has measured the time from one look to the next.
    lag = Math.max(0, histogram.percentile(99) / 1e9 - RESOLUTION_MS / 1000);
    histogram.reset();
    windowFrom = now;
    return lag;
  };
}
