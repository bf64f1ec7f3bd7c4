/** A store in memory, because the real one cannot be told to fail at a given insert in a given way. */
import type { Column } from '../../../src/contract/contract.ts';
import { describeRecord } from '../../../src/prediction-log/postgres/describe.ts';
import { splitRecords } from '../../../src/prediction-log/postgres/tuples.ts';
import type { Failure, PredictionStore } from '../../../src/prediction-log/prediction-store.ts';

export interface Attempt {
  way: 'insert' | 'insertMissing';
  columns: readonly Column[];
  records: Buffer;
  /** Of the records, in their order. */
  ids: string[];
}

export interface FakeStore extends PredictionStore {
  /** By id, how often. */
  readonly stored: Map<string, number>;
  readonly attempts: Attempt[];
  /** What happens to an attempt before it is done; throws to refuse it. */
  meet: (attempt: Attempt) => void | Promise<void>;
}

export function fails(failure: Failure, message: string = failure): Error {
  return Object.assign(new Error(message), { failure });
}

export function createFakeStore(): FakeStore {
  const add = (way: Attempt['way']) => async (columns: readonly Column[], records: Buffer) => {
    const ids = splitRecords(records).map((record) => describeRecord(columns, record).id as string);
    const attempt = { way, columns, records, ids };
    fake.attempts.push(attempt);
    await fake.meet(attempt);
    const isThere = (id: string) => fake.stored.has(id);
    if (way === 'insert' && ids.some(isThere)) throw fails('duplicate');
    for (const id of ids) if (!isThere(id)) fake.stored.set(id, (fake.stored.get(id) ?? 0) + 1);
  };
  const fake: FakeStore = {
    stored: new Map(),
    attempts: [],
    meet: () => undefined,
    insert: add('insert'),
    insertMissing: add('insertMissing'),
    rehearse: async () => undefined,
    failureOf: (error) => (error as { failure?: Failure }).failure ?? 'unavailable',
  };
  return fake;
}
