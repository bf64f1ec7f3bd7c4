import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // `npm run test:faults` has a configuration of its own.
    exclude: ['test/faults/**'],
    globalSetup: 'test/support/global-setup.ts',
    // ONNX Runtime must be loaded once a process, so files run in processes, not in threads.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
