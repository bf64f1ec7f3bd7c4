/** Who runs where: what is measured has one core for itself; load generator and PostgreSQL share another. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Cores {
  /** The core of what is measured; undefined when nothing is pinned. */
  measured: number | undefined;
  /** Both cores, as a list for taskset; undefined when nothing is pinned. */
  both: string | undefined;
  /** One sentence for the report. */
  description: string;
  /** Does work in which this process competes for its core as others do, whether or not it goes first otherwise. */
  standingBack<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** Pins this process, and so what it starts later, to the second core; the first is kept for what is measured. */
export function takeCores(): Cores {
  const allowed = allowedCores(process.pid);
  const why = !allowed ? '`taskset` is not there' : allowed.length < 2 ? 'there is one core' : undefined;
  if (why)
    return {
      measured: undefined,
      both: undefined,
      description: `Nothing is pinned, because ${why}: the ratios are rough.`,
      standingBack: (work) => work(),
    };
  const [measured, others] = allowed as [number, number];
  spawnSync('taskset', ['-acp', String(others), String(process.pid)]);
  const isFirst = goFirst();
  const priority = isFirst
    ? 'with real-time priority, so that it does not wait for PostgreSQL'
    : 'where it waits for PostgreSQL, because real-time priority (`chrt`, as root) was refused';
  return {
    measured,
    both: `${measured},${others}`,
    description: `What is measured is pinned to core ${measured}, the load generator to core ${others}, ${priority}.`,
    async standingBack(work) {
      if (!isFirst) return await work();
      standBack();
      try {
        return await work();
      } finally {
        goFirst();
      }
    },
  };
}

/**
 * Gives this process, without what it starts, real-time priority, and tells whether that is allowed. The callers that it
 * stands for are on other machines: they do not wait until PostgreSQL gives their core back, which takes up to a tick of
 * 4 ms.
 */
function goFirst(): boolean {
  return spawnSync('chrt', ['--reset-on-fork', '--fifo', '--pid', '1', String(process.pid)]).status === 0;
}

function standBack(): void {
  spawnSync('chrt', ['--other', '--pid', '0', String(process.pid)]);
}

/** The cores as Linux lists them, such as "0-1"; "unknown" elsewhere. */
export function coresOf(pid: number): string {
  try {
    return /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

/** What a core has done so far: idle and all time, in ticks; NaN where /proc does not say. */
export function coreTimes(core: number | undefined): { idle: number; all: number } {
  try {
    const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))![1]!;
    // user nice system idle iowait irq softirq steal; what follows is in user already.
    const ticks = line.split(' ').slice(0, 8).map(Number);
    return { idle: ticks[3]! + ticks[4]!, all: ticks.reduce((sum, value) => sum + value, 0) };
  } catch {
    return { idle: Number.NaN, all: Number.NaN };
  }
}

function allowedCores(pid: number): number[] | undefined {
  if (spawnSync('taskset', ['--version']).error) return undefined;
  return coresOf(pid)
    .split(',')
    .flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number);
      return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
    });
}
