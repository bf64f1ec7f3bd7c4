import { defineConfig } from 'vitest/config';
import { isShort } from './form.ts';

/** `vitest run --config test/faults/vitest.config.ts`; FAULTS=short for the form that takes a few minutes. */
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ['test/faults/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts', 'test/faults/report.ts'],
    pool: 'forks',
    // In the full form one fault at a time: each one measures how long recovery takes. The short one mostly waits.
    fileParallelism: isShort,
    maxWorkers: 3,
    testTimeout: isShort ? 120_000 : 600_000,
    hookTimeout: 60_000,
  },
});
