/**
 * A contract: what follows from a declaration for every row that is read, run and stored under it. It is made once for a
 * version and swapped with it; versions of the same declaration share one, so that two contracts are the same exactly if
 * they are the same object.
 */
import type { Declaration, Feature } from './features-schema.ts';

/** A column of `predictions`, its type by the name that Postgres' format_type gives it. */
export interface Column {
  name: string;
  type: 'uuid' | 'double precision' | 'bigint' | 'boolean' | 'text' | 'timestamp with time zone';
}

export interface Contract {
  declaration: Declaration;
  /** The declaration as JSON with its keys in one order: equal texts declare the same. */
  text: string;
  features: readonly Feature[];
  names: readonly string[];
  /** Those that hold the features in `predictions`. */
  columns: readonly Column[];
  /** The texts that rows refer to by their place: the categories of text features and what null stands for, each once. */
  texts: readonly string[];
  /** The place of each of them. */
  places: ReadonlyMap<string, number>;
  /** The positions of the features that are texts. */
  textFeatures: readonly number[];
  /** Whether a row is numbers and booleans, none of which can be missing. */
  isPlain: boolean;
}

const COLUMN_TYPES: Record<Feature['dtype'], Column['type']> = {
  float64: 'double precision',
  int64: 'bigint',
  bool: 'boolean',
  string: 'text',
};

export function createContract(declaration: Declaration): Contract {
  const { features } = declaration;
  const texts = new Set<string>();
  for (const { dtype, categories = [], null_as } of features) {
    if (dtype !== 'string') continue;
    for (const value of [...categories, null_as ?? []].flat()) texts.add(value as string);
  }
  const textFeatures = features.flatMap(({ dtype }, position) => (dtype === 'string' ? [position] : []));
  return {
    declaration,
    text: JSON.stringify(declaration),
    features,
    names: features.map(({ name }) => name),
    columns: features.map(({ column, dtype }) => ({ name: column, type: COLUMN_TYPES[dtype] })),
    texts: [...texts],
    places: new Map(Array.from(texts, (text, place) => [text, place])),
    textFeatures,
    isPlain: textFeatures.length === 0 && !features.some(mayBeMissing),
  };
}

/** Makes something once for each contract that is asked about, and keeps it for as long as the contract. */
export function onceForEach<Asked extends Partial<Contract>, Made extends object>(
  make: (contract: Asked) => Made,
): (contract: Asked) => Made {
  const made = new WeakMap<Asked, Made>();
  return (contract) => {
    const found = made.get(contract);
    if (found) return found;
    const one = make(contract);
    made.set(contract, one);
    return one;
  };
}

/** Whether null, or nothing, may be sent for it. */
export function mayBeMissing({ nullable, optional }: Feature): boolean {
  return nullable || optional;
}

/** The positions, in the declared order, of the features of one kind. */
export function featuresOfKind({ features }: Contract, kind: Feature['kind']): number[] {
  return features.flatMap((feature, position) => (feature.kind === kind ? [position] : []));
}
