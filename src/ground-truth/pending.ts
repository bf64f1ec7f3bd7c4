/** Labels that came before their predictions: joined when the relay has brought those, given up after a week. */
import { type Pool, transaction } from '../database/pool.ts';
import { settleTransaction } from './keys.ts';

export interface PendingStep {
  joined: number;
  dropped: number;
}

const GIVEN_UP_AFTER_MS = 7 * 24 * 3_600_000;
const ROWS_AT_ONCE = 1_000;
/** Of a step: what is left is looked at in the next one. */
const MOST_PAGES = 100;

/** One step, which can be ended anywhere: each page is a transaction of its own. */
export async function joinPending(pool: Pool, now: Date): Promise<PendingStep> {
  const dropped = await dropOld(pool, new Date(now.getTime() - GIVEN_UP_AFTER_MS));
  let joined = 0;
  let after: Place = { receivedAt: '-infinity', predictionId: '00000000-0000-0000-0000-000000000000' };
  for (let page = 0; page < MOST_PAGES; page++) {
    const found = await joinPage(pool, after);
    joined += found.joined;
    if (!found.last) break;
    after = found.last;
  }
  return { joined, dropped };
}

async function dropOld(pool: Pool, before: Date): Promise<number> {
  let dropped = 0;
  let last: number;
  do {
    const { rowCount } = await pool.query(
      `with old as (
         select prediction_id, predicted_at from ground_truth
         where pipeline_version is null and received_at < $1 order by received_at limit $2 for update skip locked
       )
       delete from ground_truth using old
       where ground_truth.prediction_id = old.prediction_id and ground_truth.predicted_at = old.predicted_at`,
      [before, ROWS_AT_ONCE],
    );
    last = rowCount ?? 0;
    dropped += last;
  } while (last === ROWS_AT_ONCE);
  return dropped;
}

/** Where a page ended, in the order of arrival. The time is a text, as a Date has no microseconds and no infinity. */
interface Place {
  receivedAt: string;
  predictionId: string;
}

/** Joins what it can of the next labels that wait; `last` is where it ended, undefined when there are no more. */
async function joinPage(pool: Pool, after: Place): Promise<{ joined: number; last: Place | undefined }> {
  return await transaction(pool, async (client) => {
    await client.query(settleTransaction);
    // Whoever has locked one is about to change it, and joins it too.
    const { rows: waiting } = await client.query(
      `select prediction_id, predicted_at, received_at::text from ground_truth
       where pipeline_version is null and received_at >= $1::timestamptz and (received_at, prediction_id) > ($1::timestamptz, $2::uuid)
       order by received_at, prediction_id limit $3 for update skip locked`,
      [after.receivedAt, after.predictionId, ROWS_AT_ONCE],
    );
    if (waiting.length === 0) return { joined: 0, last: undefined };
    const keys = [waiting.map(({ prediction_id }) => prediction_id), waiting.map(({ predicted_at }) => predicted_at)];
    const { rows: joined } = await client.query(
      `update ground_truth set prediction = predictions.prediction, pipeline_version = predictions.pipeline_version
       from unnest($1::uuid[], $2::timestamptz[]) as waiting (id, created_at) join predictions using (id, created_at)
       where ground_truth.prediction_id = id and ground_truth.predicted_at = created_at
       returning ground_truth.pipeline_version as version, (ground_truth.predicted_at at time zone 'UTC')::date::text as day,
         ground_truth.actual is not null as counts`,
      keys,
    );
    const cells = new Set(joined.filter(({ counts }) => counts).map(({ version, day }) => `${version} ${day}`));
    if (cells.size > 0) {
      const [versions, days] = [0, 1].map((part) => Array.from(cells, (cell) => cell.split(' ')[part]));
      await client.query(
        'insert into live_quality_dirty (pipeline_version, day) select * from unnest($1::text[], $2::date[])',
        [versions, days],
      );
    }
    const { received_at: receivedAt, prediction_id: predictionId } = waiting.at(-1)!;
    return { joined: joined.length, last: { receivedAt, predictionId } };
  });
}
