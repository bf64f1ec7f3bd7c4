/** Which core does what: what is measured has one for itself; the load generator and PostgreSQL share another. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Cores {
  /** The core of what is measured; undefined when nothing is pinned. */
  measured: number | undefined;
  /** One sentence for the report. */
  description: string;
  /** Does work in which this process competes for its core as others do. */
  withoutPriority<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** Pins this process, and so what it starts later, to the second core; the first is kept for what is measured. */
export function takeCores(): Cores {
  const cores = allowedCores();
  if (cores.length < 2) {
    const description = 'Nothing is pinned (`taskset` is not there, or there is one core): the ratios are rough.';
    return { measured: undefined, description, withoutPriority: (work) => work() };
  }
  const [measured, others] = cores as [number, number];
  spawnSync('taskset', ['-acp', String(others), String(process.pid)]);
  const isFirst = takePriority();
  const priority = isFirst
    ? 'with real-time priority, so that it does not wait for PostgreSQL'
    : 'where it waits for PostgreSQL, because real-time priority (`chrt`, as root) was refused';
  return {
    measured,
    description: `What is measured is pinned to core ${measured}, the load generator to core ${others}, ${priority}.`,
    async withoutPriority(work) {
      if (!isFirst) return await work();
      spawnSync('chrt', ['--other', '--pid', '0', String(process.pid)]);
      return await work().finally(takePriority);
    },
  };
}

/**
 * Gives this process, without what it starts, real-time priority, and tells whether that is allowed. The callers that it
 * stands for are on other machines: they do not wait until PostgreSQL gives their core back, which takes up to 4 ms.
 */
function takePriority(): boolean {
  return spawnSync('chrt', ['--reset-on-fork', '--fifo', '--pid', '1', String(process.pid)]).status === 0;
}

/** As Linux lists them, such as "0-1"; none elsewhere. */
function allowedCores(): number[] {
  if (spawnSync('taskset', ['--version']).error) return [];
  const list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]!;
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
  });
}
