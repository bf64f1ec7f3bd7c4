/** The key of a prediction and of its label: the id, and the time in it, by which one partition is found. */

export interface PredictionKey {
  /** In lower case. */
  predictionId: string;
  predictedAt: Date;
}

export const keyOf = ({ predictionId, predictedAt }: PredictionKey): string =>
  `${predictionId} ${predictedAt.getTime()}`;

/** In the order in which rows are locked. */
export function ordered<Key extends PredictionKey>(keys: readonly Key[]): Key[] {
  return keys.toSorted(
    (a, b) => a.predictedAt.getTime() - b.predictedAt.getTime() || (a.predictionId < b.predictionId ? -1 : 1),
  );
}

/**
 * The first statement of a transaction over keys. A join goes from key to key, each to one partition by way of its index: of a
 * thousand keys and tables that are small as yet, the planner would read whole tables, and lock rows in their order. A row that
 * was waited for is seen as it is then, and what is committed survives a crash of the server, whatever the database is set to.
 */
export const settleTransaction = `set transaction isolation level read committed;
  select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true);
  select set_config('synchronous_commit', 'local', true) where current_setting('synchronous_commit') = 'off'`;
