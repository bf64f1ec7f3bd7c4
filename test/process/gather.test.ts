import cluster, { type Worker } from 'node:cluster';
import { afterEach, expect, test } from 'vitest';
import { gatherFromWorkers } from '../../src/process/gather.ts';

/** As the primary sees one: it answers each question with what it has counted. */
function createWorker(count: number): Worker {
  const worker = {
    process: { pid: count },
    isDead: () => false,
    isConnected: () => true,
    send: ({ topic }: { topic: string }) => setImmediate(tell, { gather: 'answer', topic, facts: count }),
  };
  const tell = (message: object) => cluster.emit('message', worker as unknown as Worker, message, undefined);
  cluster.emit('listening', worker as unknown as Worker, undefined);
  return worker as unknown as Worker;
}

afterEach(() => {
  cluster.removeAllListeners();
});

test('a worker that dies while the primary looks at itself is neither lost nor counted twice', async () => {
  let looks = 0;
  const gather = gatherFromWorkers<number>('counts', {
    count: 2,
    async own() {
      if (looks++ > 0) cluster.emit('exit', dying, 0, 'SIGKILL');
      await new Promise((resolve) => setImmediate(resolve));
      return 1;
    },
    keep: (last, kept = 0) => kept + last,
  });
  const dying = createWorker(10);
  createWorker(200);
  const sumOf = async () => (await gather())?.facts.reduce((sum, one) => sum + one, 0);

  expect(await sumOf()).toBe(211);
  expect(await sumOf()).toBe(211);
  expect(await sumOf()).toBe(211);
});
