import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes a minute or more: it begins first, or the others would have ended when it begins. */
const LONG = /server\/(demo|challengers|signals|schedule)\.test\.ts$/;

class LongOnesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isShort = ({ moduleId }: TestSpecification) => Number(!LONG.test(moduleId));
    return (await super.sort(files)).toSorted((a, b) => isShort(a) - isShort(b));
  }
}

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
    sequence: { sequencer: LongOnesFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
