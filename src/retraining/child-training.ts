/** A scheduled training as the train command, in a child process. */
import { runScript } from './child-script.ts';
import type { RetrainingOptions, Training } from './retraining.ts';

/** `options` of the command: what it learns from, and what takes over. */
export function trainInChildProcess(options: readonly string[]): RetrainingOptions['train'] {
  return async ({ alpha, signal }) => {
    const asked = ['--json', '--by', 'schedule', '--reason', 'retraining by cron', ...options];
    if (alpha !== undefined) asked.push('--alpha', String(alpha));
    const stdout = await runScript('train', asked, signal);
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as Training;
  };
}
