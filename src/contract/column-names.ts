/** Names for the columns that store features, where a declaration does not give them. */

/** Of Postgres, in every table, and of ours in `predictions`; the last two are for classifiers. */
const TAKEN = new Set([
  'ctid',
  'xmin',
  'xmax',
  'cmin',
  'cmax',
  'tableoid',
  'id',
  'prediction',
  'pipeline_version',
  'created_at',
  'prediction_label',
  'probabilities',
]);
/** Postgres cuts longer names off. */
const MOST_BYTES = 63;

/** Gives each feature its column: the declared one, or one that is made from its name and that no other has. */
export function withColumns<Given extends { name: string; column?: string | undefined }>(
  features: readonly Given[],
): (Given & { column: string })[] {
  const used = new Set(features.flatMap(({ column }) => column ?? []));
  return features.map((feature) => {
    if (feature.column !== undefined) return { ...feature, column: feature.column };
    const column = freeName(nameFrom(feature.name), used);
    used.add(column);
    return { ...feature, column };
  });
}

export const isTaken = (column: string): boolean => TAKEN.has(column);

/** "Flipper Length (mm)" becomes flipper_length_mm. */
function nameFrom(name: string): string {
  const plain = snakeCase(name);
  return /^[a-z]/.test(plain) && !isTaken(plain) ? plain.slice(0, MOST_BYTES) : `f_${plain}`.slice(0, MOST_BYTES);
}

/** Letters of other alphabets than ASCII are lost. */
export function snakeCase(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
}

function freeName(name: string, used: ReadonlySet<string>): string {
  let free = name;
  for (let count = 2; used.has(free); count++) free = numbered(name, count);
  return free;
}

/** "age" becomes age_2. */
export function numbered(name: string, count: number): string {
  const ending = `_${count}`;
  return name.slice(0, MOST_BYTES - ending.length) + ending;
}
