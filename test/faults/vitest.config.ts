import { defineConfig } from 'vitest/config';

/** `vitest run --config test/faults/vitest.config.ts`; FAULTS=short for the form that takes a few minutes. */
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ['test/faults/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts', 'test/faults/report.ts'],
    pool: 'forks',
    // One fault at a time: they share the machine, and each one measures how long recovery takes.
    fileParallelism: false,
    testTimeout: process.env.FAULTS === 'short' ? 120_000 : 600_000,
    hookTimeout: 60_000,
  },
});
