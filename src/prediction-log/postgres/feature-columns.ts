/**
 * The columns of `predictions` that store the features of a contract. Its publication adds those that are missing, in its own
 * transaction, so that a version and its columns are there together. They may be null, so no row is rewritten, and they stay
 * when the contract goes: `predictions` keeps what was answered under each.
 */
import { numbered } from '../../contract/column-names.ts';
import { type Column, type Contract, createContract } from '../../contract/contract.ts';
import type { Feature } from '../../contract/features-schema.ts';
import { escapeIdentifier, escapeLiteral, type Queryable } from '../../database/pool.ts';
import { RidgelineError } from '../../errors.ts';
import { FLOAT64_BYTES, LONGEST_ROW_BYTES } from '../prediction-batch.ts';

/** Columns that were dropped count as well. https://www.postgresql.org/docs/current/limits.html */
const MOST_COLUMNS = 1_600;
/** What the features may take of a page of 8 KiB, which a row cannot exceed; what all predictions have takes the rest. */
const PAGE_BYTES = 7_600;
/** In the row itself: longer texts move out of it, down to a pointer of 18 bytes and its alignment. */
const TEXT_BYTES_OF_PAGE = 24;
/** Whoever reads or writes the table waits behind a publication that waits for its lock. */
const WAIT_FOR_LOCK = '2s';
const INSUFFICIENT_PRIVILEGE = '42501';

/**
 * Adds the columns that are missing, and returns them. Must be the last statement of a transaction, as all that write
 * predictions wait for its end; without anything to add it locks nothing and needs no right but to look. Columns of the
 * contracts `earlier` in this database may have got another type by hand meanwhile.
 *
 * Rejects with `declaration` when the features file has to be changed, with `database_setup` when the role may not alter
 * the table, and with the error of Postgres otherwise, such as 55P03 after two seconds behind another session's lock.
 */
export async function ensureFeatureColumns(
  client: Queryable,
  contract: Contract,
  earlier: readonly Contract[] = [],
): Promise<readonly Column[]> {
  const missing = await missingFeatureColumns(client, contract, earlier);
  if (missing.length === 0) return missing;
  const added = addColumns(missing);
  const comments = missing.map(({ name }) => {
    const feature = contract.features.find(({ column }) => column === name)!;
    return `comment on column predictions.${escapeIdentifier(name)} is ${escapeLiteral(describe(feature))}`;
  });
  try {
    await client.query([`set local lock_timeout = '${WAIT_FOR_LOCK}'`, added, ...comments].join('; '));
  } catch (cause) {
    if ((cause as { code?: string }).code !== INSUFFICIENT_PRIVILEGE) throw cause;
    const detail = `The role of DATABASE_URL does not own the table predictions. Let its owner run this, and publish again: ${added};`;
    throw new RidgelineError('database_setup', { detail, cause });
  }
  return missing;
}

/** What `ensureFeatureColumns` would add; rejects as it does, but looks only. */
export async function missingFeatureColumns(
  client: Queryable,
  contract: Contract,
  earlier: readonly Contract[] = [],
): Promise<readonly Column[]> {
  refuseUnstorable(contract);
  const { types, last } = await columnsInTable(client);
  for (const { name, type } of contract.columns) {
    const there = types.get(name);
    const isOurs = earlier.some(({ columns }) =>
      columns.some((column) => column.name === name && column.type === type),
    );
    if (there !== undefined && there !== type && !isOurs) throw otherType(name, type, there);
  }
  const missing = contract.columns.filter(({ name }) => !types.has(name));
  if (last + missing.length > MOST_COLUMNS) throw tooMany(last, missing.length);
  return missing;
}

/**
 * The same contract, but where the table has a column of another type, such as `age` of the houses, the next free one:
 * `age_2`. For a derived declaration, whose columns nobody has chosen. The contract itself where nothing is in the way.
 */
export async function withFreeColumns(client: Queryable, contract: Contract): Promise<Contract> {
  const { types } = await columnsInTable(client);
  const isInTheWay = ({ name, type }: Column) => (types.get(name) ?? type) !== type;
  if (!contract.columns.some(isInTheWay)) return contract;
  const used = new Set(contract.columns.map(({ name }) => name));
  const features = contract.features.map((feature, i) => {
    const { name, type } = contract.columns[i]!;
    let column = name;
    for (let count = 2; isInTheWay({ name: column, type }) || (column !== name && used.has(column)); count++) {
      column = numbered(name, count);
    }
    used.add(column);
    return { ...feature, column };
  });
  return createContract({ ...contract.declaration, features });
}

/** The columns of `predictions`, their types by name, and how many there have ever been. */
async function columnsInTable(client: Queryable): Promise<{ types: ReadonlyMap<string, string>; last: number }> {
  const { rows } = await client.query(
    `select attname as name, format_type(atttypid, null) as type, attnum as number from pg_attribute
     where attrelid = to_regclass('predictions') and attnum > 0 order by attnum`,
  );
  if (rows.length === 0) throw new RidgelineError('database_setup', { detail: 'Run npm run migrate first.' });
  const types = new Map(rows.map(({ name, type }) => [name as string, type as string]));
  return { types, last: rows.at(-1)!.number as number };
}

/** Throws `declaration` for a contract of which no row, or not every row, could be stored. */
export function refuseUnstorable({ features }: Contract): void {
  const texts = features.filter(({ dtype }) => dtype === 'string');
  const ofPage = texts.length * TEXT_BYTES_OF_PAGE + (features.length - texts.length) * FLOAT64_BYTES;
  if (ofPage > PAGE_BYTES) {
    throw refuse(
      `A row would take ${ofPage} bytes of a page of Postgres, and may take ${PAGE_BYTES}, where a text counts ` +
        `${TEXT_BYTES_OF_PAGE} and another value ${FLOAT64_BYTES}: declare fewer features.`,
    );
  }
  const ofRow = texts.reduce((sum, feature) => sum + mostBytes(feature), features.length * FLOAT64_BYTES);
  if (ofRow > LONGEST_ROW_BYTES) {
    throw refuse(
      `A row could have ${ofRow} bytes, and the spool stores up to ${LONGEST_ROW_BYTES}: lower max_length of the texts.`,
    );
  }
}

function mostBytes({ max_length, categories = [] }: Feature): number {
  return Math.max(max_length, ...categories.map((text) => Buffer.byteLength(String(text))));
}

/** The statement that adds them, for us or for the owner of the table. */
function addColumns(columns: readonly Column[]): string {
  const added = columns.map(({ name, type }) => `add column if not exists ${escapeIdentifier(name)} ${type}`);
  return `alter table predictions ${added.join(', ')}`;
}

function describe({ name, description = name, unit }: Feature): string {
  return unit === undefined ? description : `${description} (${unit})`;
}

function otherType(name: string, type: string, there: string): RidgelineError {
  return refuse(
    `predictions has a column ${name} of type ${there} already, and this contract would store ${type} there: give the ` +
      'feature another "column". Print the declaration with npm run --silent features -- FILE --target NAME > ' +
      'features.json, add "column": "NAME" to that feature, and train with --features features.json.',
  );
}

function tooMany(there: number, missing: number): RidgelineError {
  return refuse(
    `predictions has ${there} columns, with those of earlier contracts and dropped ones, and ${missing} more are needed; ` +
      `Postgres allows ${MOST_COLUMNS}. Name columns that are there as "column" in the features file, or serve this ` +
      `pipeline from a database or schema of its own.`,
  );
}

const refuse = (detail: string) => new RidgelineError('declaration', { detail });
