import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // `npm run test:faults` and `npm run test:browser` have configurations of their own.
    exclude: ['test/faults/**', 'test/browser/**'],
    globalSetup: 'test/support/global-setup.ts',
    // ONNX Runtime must be loaded once a process, so files run in processes, not in threads.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
