import { defineConfig } from 'vitest/config';

/** `vitest run --config test/browser/vitest.config.ts`: needs Chromium, at CHROMIUM or where Debian's package puts it. */
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ['test/browser/**/*.test.ts'],
    globalSetup: 'test/support/global-setup.ts',
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
