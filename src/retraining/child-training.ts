/** A training as a child process: its own heap, a time limit, and a crash that leaves the server alone. */
import { execFile } from 'node:child_process';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { reasonOf } from '../errors.ts';
import { projectRoot } from '../project-root.ts';
import type { RetrainingOptions, Training } from './retraining.ts';

const run = promisify(execFile);

/** Runs the train command in a process of its own, as this one runs: the same Node, the same flags, src or dist. */
export const trainInChildProcess: RetrainingOptions['train'] = async ({ alpha, signal }) => {
  const script = join(projectRoot, extname(import.meta.url) === '.ts' ? 'scripts/train.ts' : 'dist/scripts/train.js');
  try {
    const options = ['--json', '--by', 'schedule', '--reason', 'retraining by cron'];
    if (alpha !== undefined) options.push('--alpha', String(alpha));
    const { stdout } = await run(process.execPath, [...process.execArgv, script, ...options], {
      signal,
      killSignal: 'SIGKILL',
    });
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as Training;
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    if (signal.aborted) throw signal.reason;
    throw new Error(stderr?.trim() || reasonOf(error));
  }
};
