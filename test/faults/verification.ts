/** Whether what was answered is what is stored: the check that every fault ends with. */
import { expect } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { Answer } from './load.ts';

/** The slice of a test database that this file uses. */
interface Queryable {
  query<Row>(text: string, values?: unknown[]): Promise<Row[]>;
}

export interface Comparison {
  /** Answered predictions, each of which must be stored. */
  expected: number;
  found: number;
  missing: number;
  /** Rows too many: ids that are stored more than once, answered or not. */
  duplicates: number;
  /** Rows whose prediction or version is not what was answered. */
  different: number;
}

export async function compareWithStored(database: Queryable, answers: readonly Answer[]): Promise<Comparison> {
  const [result] = await database.query<Comparison>(
    `with answered as (
       select * from unnest($1::uuid[], $2::float8[], $3::text[]) as answered (id, prediction, version)
     ), stored as (
       select id, count(*) as copies, min(prediction) as prediction, min(pipeline_version) as version
       from predictions group by id
     )
     select (select count(*) from answered)::int as expected,
       count(stored.id)::int as found,
       (count(*) filter (where stored.id is null))::int as missing,
       (select coalesce(sum(copies - 1), 0) from stored)::int as duplicates,
       (count(*) filter (where (stored.prediction, stored.version) is distinct from (answered.prediction, answered.version)
         and stored.id is not null))::int as different
     from answered left join stored using (id)`,
    [answers.map(({ id }) => id), answers.map(({ prediction }) => prediction), answers.map(({ version }) => version)],
  );
  return result!;
}

/** Waits until every answered prediction is stored, or the limit is over; then says what is stored. */
export async function storedWithin(
  database: Queryable,
  answers: readonly Answer[],
  limitMs: number,
): Promise<Comparison & { seconds: number }> {
  const startedAt = Date.now();
  const enough = async () => {
    const [counted] = await database.query<{ rows: number }>('select count(*)::int as rows from predictions');
    return counted!.rows >= answers.length && (await compareWithStored(database, answers)).missing === 0;
  };
  await eventually(enough, limitMs).catch(() => undefined);
  const seconds = (Date.now() - startedAt) / 1000;
  return { ...(await compareWithStored(database, answers)), seconds };
}

/** The guarantee: what was answered is stored, once, as it was answered. */
export function expectNothingLost({ missing, duplicates, different }: Comparison): void {
  expect({ missing, duplicates, different }).toEqual({ missing: 0, duplicates: 0, different: 0 });
}

/** Of the dead letters: so many lines, each of them a whole JSON object with what was to be stored. */
export function expectWholeLines(text: string, lines: number): void {
  expect(text.endsWith('\n')).toBe(true);
  const letters = text.split('\n').slice(0, -1);
  expect(letters.length).toBe(lines);
  for (const letter of letters) {
    const { at, reason, record, bytes } = JSON.parse(letter) as Record<string, unknown>;
    expect([at, reason, record ?? bytes].every(Boolean)).toBe(true);
  }
}
