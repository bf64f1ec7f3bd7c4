/**
 * What becomes of labels that arrive: each is judged against its prediction and the label that is there, in one transaction.
 *
 *     fold (the newest of an id counts) -> find the predictions -> add the first labels -> lock and judge the others -> write
 *
 * Labels of one id that arrive together are judged one after another: whoever adds a first label makes others of that id wait,
 * and so does whoever locks one that is there. All of it goes by the order of the keys, so that nobody waits in a circle.
 */
import { type Pool, type PoolClient, transaction } from '../database/pool.ts';
import { keyOf, ordered, type PredictionKey, settleTransaction } from './keys.ts';
import { type Label, type LabelResult, mayStillArrive, timeOfPredictionId } from './label.ts';

/** The newest label of its id in a request. */
interface NewLabel extends PredictionKey {
  actual: number | null;
  observedAt: Date;
  /** Its place in the request. */
  place: number;
}

/** What is copied of a prediction. */
interface StoredPrediction {
  prediction: number;
  pipelineVersion: string;
}

/** The label that was there. */
interface Present {
  actual: number | null;
  observedAt: Date;
}

/** A label that takes the place of the one that was there, which is kept as a revision. */
interface Replacement extends NewLabel {
  found: StoredPrediction | undefined;
}

/**
 * Stores labels whose ids are UUIDs version 7, and returns what each of them was, in their order. `now` is when they arrived,
 * and when those were observed that do not say so. Rejects, with nothing stored, when the transaction fails.
 */
export async function recordLabels(pool: Pool, labels: readonly Label[], now: Date): Promise<LabelResult[]> {
  // Every but the newest of its id.
  const results = labels.map((): LabelResult => 'superseded');
  const newest = ordered(fold(labels, now));
  await transaction(pool, async (client) => {
    await client.query(settleTransaction);
    const predictions = await findPredictions(client, newest);
    const foundFor = (label: NewLabel) => predictions.get(keyOf(label));
    const isKnown = (label: NewLabel) => foundFor(label) !== undefined || mayStillArrive(label.predictedAt, now);
    for (const { place } of newest.filter((label) => !isKnown(label))) results[place] = 'unknown';

    const known = newest.filter(isKnown);
    const first = known.filter(({ actual }) => actual !== null);
    const added = await addFirst(client, first, { predictions, now });
    const wasAdded = (label: NewLabel) => added.has(keyOf(label));
    for (const label of first.filter(wasAdded)) results[label.place] = foundFor(label) ? 'stored' : 'pending';

    const others = known.filter((label) => !wasAdded(label));
    const present = await lockPresent(client, others);
    const replacements: Replacement[] = [];
    const confirmed: NewLabel[] = [];
    for (const label of others) {
      const found = foundFor(label);
      const result = judge(label, present.get(keyOf(label)), found !== undefined);
      results[label.place] = result;
      if (result === 'unchanged' && present.has(keyOf(label))) confirmed.push(label);
      if (result !== 'unchanged' && result !== 'superseded') replacements.push({ ...label, found });
    }
    await confirm(client, confirmed);
    await replace(client, replacements, now);
    await markDirty(client, [...first.filter(wasAdded), ...replacements], predictions);
  });
  return results;
}

/** The newest label of each id: the one observed last, of those the later one. */
function fold(labels: readonly Label[], now: Date): NewLabel[] {
  const newest = new Map<string, NewLabel>();
  labels.forEach(({ predictionId, actual, observedAt = now }, place) => {
    const other = newest.get(predictionId);
    if (other && observedAt < other.observedAt) return;
    const predictedAt = timeOfPredictionId(predictionId)!;
    newest.set(predictionId, { predictionId, predictedAt, actual, observedAt, place });
  });
  return [...newest.values()];
}

/** What a label is beside the one that is there. A withdrawal of nothing changes nothing. */
function judge({ actual, observedAt }: NewLabel, there: Present | undefined, isStored: boolean): LabelResult {
  if (there && observedAt < there.observedAt) return 'superseded';
  if (actual === (there?.actual ?? null)) return 'unchanged';
  if (actual === null) return 'withdrawn';
  if (there && there.actual !== null) return 'corrected';
  return isStored ? 'stored' : 'pending';
}

async function findPredictions(
  client: PoolClient,
  labels: readonly PredictionKey[],
): Promise<Map<string, StoredPrediction>> {
  const { rows } = await client.query(
    `select id, created_at, prediction, pipeline_version
     from unnest($1::uuid[], $2::timestamptz[]) as label (id, created_at) join predictions using (id, created_at)`,
    keysOf(labels),
  );
  return new Map(
    rows.map(({ id, created_at, prediction, pipeline_version }) => [
      keyOf({ predictionId: id, predictedAt: created_at }),
      { prediction, pipelineVersion: pipeline_version },
    ]),
  );
}

interface Circumstances {
  predictions: ReadonlyMap<string, StoredPrediction>;
  now: Date;
}

/** Adds those for whose ids there is none, and returns their keys. Waits for others who are adding one of the same id. */
async function addFirst(
  client: PoolClient,
  labels: readonly NewLabel[],
  { predictions, now }: Circumstances,
): Promise<Set<string>> {
  if (labels.length === 0) return new Set();
  const found = labels.map((label) => predictions.get(keyOf(label)));
  const { rows } = await client.query(
    `insert into ground_truth (prediction_id, predicted_at, actual, observed_at, received_at, revision, prediction, pipeline_version)
     select prediction_id, predicted_at, actual, observed_at, $7, 1, prediction, pipeline_version
     from unnest($1::uuid[], $2::timestamptz[], $3::float8[], $4::timestamptz[], $5::float8[], $6::text[])
       as label (prediction_id, predicted_at, actual, observed_at, prediction, pipeline_version)
     order by predicted_at, prediction_id
     on conflict (predicted_at, prediction_id) do nothing
     returning prediction_id, predicted_at`,
    [
      ...keysOf(labels),
      labels.map(({ actual }) => actual),
      labels.map(({ observedAt }) => observedAt),
      found.map((one) => one?.prediction),
      found.map((one) => one?.pipelineVersion),
      now,
    ],
  );
  return new Set(
    rows.map(({ prediction_id, predicted_at }) => keyOf({ predictionId: prediction_id, predictedAt: predicted_at })),
  );
}

async function lockPresent(client: PoolClient, labels: readonly PredictionKey[]): Promise<Map<string, Present>> {
  if (labels.length === 0) return new Map();
  const { rows } = await client.query(
    `select prediction_id, predicted_at, actual, observed_at
     from unnest($1::uuid[], $2::timestamptz[]) as label (prediction_id, predicted_at)
       join ground_truth using (prediction_id, predicted_at)
     order by predicted_at, prediction_id for update of ground_truth`,
    keysOf(labels),
  );
  return new Map(
    rows.map(({ prediction_id, predicted_at, actual, observed_at }) => [
      keyOf({ predictionId: prediction_id, predictedAt: predicted_at }),
      { actual, observedAt: observed_at },
    ]),
  );
}

/** Keeps the later time of those that said the same again. */
async function confirm(client: PoolClient, labels: readonly NewLabel[]): Promise<void> {
  if (labels.length === 0) return;
  await client.query(
    `update ground_truth set observed_at = label.observed_at
     from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as label (prediction_id, predicted_at, observed_at)
     where ground_truth.prediction_id = label.prediction_id and ground_truth.predicted_at = label.predicted_at`,
    [...keysOf(labels), labels.map(({ observedAt }) => observedAt)],
  );
}

async function replace(client: PoolClient, labels: readonly Replacement[], now: Date): Promise<void> {
  if (labels.length === 0) return;
  await client.query(
    `insert into ground_truth_revision (prediction_id, predicted_at, revision, actual, observed_at, replaced_at)
     select prediction_id, predicted_at, revision, actual, observed_at, $3
     from unnest($1::uuid[], $2::timestamptz[]) as label (prediction_id, predicted_at)
       join ground_truth using (prediction_id, predicted_at)`,
    [...keysOf(labels), now],
  );
  await client.query(
    `update ground_truth
     set actual = label.actual, observed_at = label.observed_at, received_at = $7, revision = revision + 1,
       prediction = coalesce(ground_truth.prediction, label.prediction),
       pipeline_version = coalesce(ground_truth.pipeline_version, label.pipeline_version)
     from unnest($1::uuid[], $2::timestamptz[], $3::float8[], $4::timestamptz[], $5::float8[], $6::text[])
       as label (prediction_id, predicted_at, actual, observed_at, prediction, pipeline_version)
     where ground_truth.prediction_id = label.prediction_id and ground_truth.predicted_at = label.predicted_at`,
    [
      ...keysOf(labels),
      labels.map(({ actual }) => actual),
      labels.map(({ observedAt }) => observedAt),
      labels.map(({ found }) => found?.prediction),
      labels.map(({ found }) => found?.pipelineVersion),
      now,
    ],
  );
}

/** Has the cells computed anew to which these labels belong; those without a prediction belong to none yet. */
async function markDirty(
  client: PoolClient,
  labels: readonly PredictionKey[],
  predictions: Circumstances['predictions'],
): Promise<void> {
  const cells = new Map<string, [version: string, day: string]>();
  for (const label of labels) {
    const version = predictions.get(keyOf(label))?.pipelineVersion;
    const day = label.predictedAt.toISOString().slice(0, 10);
    if (version !== undefined) cells.set(`${version} ${day}`, [version, day]);
  }
  if (cells.size === 0) return;
  const [versions, days] = [0, 1].map((part) => Array.from(cells.values(), (cell) => cell[part]));
  await client.query(
    'insert into live_quality_dirty (pipeline_version, day) select * from unnest($1::text[], $2::date[])',
    [versions, days],
  );
}

const keysOf = (labels: readonly PredictionKey[]): [string[], Date[]] => [
  labels.map(({ predictionId }) => predictionId),
  labels.map(({ predictedAt }) => predictedAt),
];
