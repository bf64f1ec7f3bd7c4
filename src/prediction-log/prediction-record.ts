/** The text of stored predictions: one line a row in the format of Postgres' COPY, so that a spool is sent as it lies. */

/** Predictions that were made by one version at one time. All arrays have one element a row. */
export interface PredictionBatch {
  ids: readonly string[];
  /** Row-major values in the declared order, `width` for each row. */
  features: Float64Array;
  width: number;
  predictions: ArrayLike<number>;
  pipelineVersion: string;
  createdAt: Date;
}

/** The columns of `predictions` in the order of a line. */
export function predictionColumns(featureColumns: readonly string[]): string[] {
  return ['id', ...featureColumns, 'prediction', 'pipeline_version', 'created_at'];
}

/** The lines of a batch, without their line ends. Numbers are written with the fewest digits that read back the same. */
export function toCopyLines(batch: PredictionBatch): string[] {
  const { ids, features, width, predictions } = batch;
  const tail = `\t${escapeCopyText(batch.pipelineVersion)}\t${batch.createdAt.toISOString()}`;
  const lines = new Array<string>(ids.length);
  let at = 0;
  for (let row = 0; row < ids.length; row++) {
    let line = ids[row]!;
    for (const end = at + width; at < end; at++) line += `\t${features[at]}`;
    lines[row] = `${line}\t${predictions[row]}${tail}`;
  }
  return lines;
}

/** COPY's text format gives these four characters a meaning. */
function escapeCopyText(text: string): string {
  const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
  return text.replace(/[\\\t\n\r]/g, (character) => escapes[character]!);
}
