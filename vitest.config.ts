import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // These have commands and configurations of their own: test:browser, test:faults.
    exclude: ['test/browser/**', 'test/faults/**'],
    globalSetup: 'test/support/global-setup.ts',
    // ONNX Runtime must be loaded once a process, so files run in processes, not in threads.
    pool: 'forks',
    // More than there are cores: most of the time is waiting, for processes and for PostgreSQL.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
