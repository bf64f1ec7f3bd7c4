/** What a change of contract means for callers, in sentences: whether requests that are right today stay so. */
import { listing } from '../listing.ts';
import type { Contract } from './contract.ts';
import type { Feature } from './features-schema.ts';
import type { Value } from './values.ts';

export interface ContractChanges {
  /** For each of them some request of today is refused, or its answer means something else. */
  breaking: string[];
  /** What callers may do from now on, and what they do not notice. */
  compatible: string[];
}

/** So many names or categories are listed in a sentence. */
const MOST_LISTED = 20;

/** The changes from one contract to another. None at all: whatever differs is for readers, such as a description. */
export function compareContracts(from: Contract, to: Contract): ContractChanges {
  const before = new Map(from.features.map((feature) => [feature.name, feature]));
  const after = new Map(to.features.map((feature) => [feature.name, feature]));
  const removed = from.features.filter(({ name }) => !after.has(name));
  const added = to.features.filter(({ name }) => !before.has(name));
  const changes = [
    ...removals(removed, added),
    ...additions(added),
    ...to.features.flatMap((feature) => {
      const found = before.get(feature.name);
      return found ? changesOf(found, feature) : [];
    }),
    ...changesOfOutput(from, to),
  ];
  const saying = (breaks: boolean) => changes.filter((one) => one.breaks === breaks).map(({ sentence }) => sentence);
  return { breaking: saying(true), compatible: saying(false) };
}

interface Change {
  breaks: boolean;
  sentence: string;
}

function removals(removed: readonly Feature[], added: readonly Feature[]): Change[] {
  // What one name has been stored as, and another is going to be, is the same thing by another name.
  const newNameOf = (feature: Feature) =>
    added.find(({ column, dtype }) => column === feature.column && dtype === feature.dtype)?.name;
  const renamed = removed.flatMap((feature) => {
    const newName = newNameOf(feature);
    return newName === undefined ? [] : { breaks: true, sentence: `${feature.name} is called ${newName} now.` };
  });
  return [...renamed, ...telling(removed, 'gone: requests with', 'are refused', true)];
}

function additions(added: readonly Feature[]): Change[] {
  const optional = added.filter((feature) => feature.optional);
  const required = added.filter((feature) => !feature.optional && !feature.nullable);
  // Callers of today send nothing for it, not even null.
  const nullable = added.filter((feature) => !feature.optional && feature.nullable);
  return [
    ...telling(required, 'new and not optional: requests without', 'are refused', true),
    ...telling(nullable, 'new and must be sent, though null is right: requests without', 'are refused', true),
    ...telling(optional, 'new: requests without', 'are right', false),
  ];
}

/** One sentence about all of these features, or none where there are none. */
function telling(features: readonly Feature[], begins: string, ends: string, breaks: boolean): Change[] {
  if (features.length === 0) return [];
  const names = features.map(({ name }) => name);
  const [are, them] = names.length === 1 ? ['is', 'it'] : ['are', 'them'];
  return [{ breaks, sentence: `${listing(names, MOST_LISTED)} ${are} ${begins} ${them} ${ends}.` }];
}

function changesOf(from: Feature, to: Feature): Change[] {
  const { name } = to;
  const isWidened = from.dtype === 'int64' && to.dtype === 'float64';
  if (from.dtype !== to.dtype && !isWidened) {
    return [{ breaks: true, sentence: `${name} is ${to.dtype} now, and was ${from.dtype}.` }];
  }
  const said: [is: boolean, breaks: boolean, what: string][] = [
    [isWidened, false, 'takes any number now, not whole ones alone'],
    [from.nullable && !to.nullable, true, 'may no longer be null'],
    [!from.nullable && to.nullable, false, 'may be null now'],
    [from.optional && !to.optional, true, 'may no longer be left out'],
    [!from.optional && to.optional, false, 'may be left out now'],
    [lowest(to) > lowest(from), true, `must be at least ${to.minimum} now`],
    [lowest(to) < lowest(from), false, 'may be smaller now'],
    [highest(to) < highest(from), true, `must be at most ${to.maximum} now`],
    [highest(to) > highest(from), false, 'may be larger now'],
    [longest(to) < longest(from), true, `must be at most ${to.max_length} bytes long now`],
    [longest(to) > longest(from), false, 'may be longer now'],
    [from.kind !== to.kind, false, `is ${to.kind} now, and was ${from.kind}`],
  ];
  return [
    ...said.filter(([is]) => is).map(([, breaks, what]) => ({ breaks, sentence: `${name} ${what}.` })),
    ...changesOfCategories(from, to),
  ];
}

const lowest = ({ minimum = Number.NEGATIVE_INFINITY }: Feature) => minimum;
const highest = ({ maximum = Number.POSITIVE_INFINITY }: Feature) => maximum;
const longest = ({ dtype, max_length }: Feature) => (dtype === 'string' ? max_length : 0);

/** Only categories beyond which nothing is taken bind callers. */
function changesOfCategories(from: Feature, to: Feature): Change[] {
  const isClosed = to.unknown === 'refuse';
  const wasClosed = from.unknown === 'refuse';
  if (!isClosed && !wasClosed) return [];
  if (!isClosed) return [{ breaks: false, sentence: `${to.name} takes any value now.` }];
  if (!wasClosed) return [{ breaks: true, sentence: `${to.name} takes its declared categories alone now.` }];
  const lost = missingIn(to, from);
  const gained = missingIn(from, to);
  const changes: [values: Value[], breaks: boolean, what: string][] = [
    [lost, true, `no longer takes ${listing(lost, MOST_LISTED, JSON.stringify)}`],
    [gained, false, `takes ${listing(gained, MOST_LISTED, JSON.stringify)} too`],
  ];
  return changes
    .filter(([values]) => values.length > 0)
    .map(([, breaks, what]) => ({ breaks, sentence: `${to.name} ${what}.` }));
}

function missingIn({ categories = [] }: Feature, { categories: wanted = [] }: Feature): Value[] {
  const known = new Set<Value>(categories);
  return wanted.filter((value) => !known.has(value));
}

function changesOfOutput(
  { declaration: { output: from } }: Contract,
  { declaration: { output: to } }: Contract,
): Change[] {
  if (from.name === to.name) return [];
  return [{ breaks: true, sentence: `${to.name} is predicted, in the place of ${from.name}.` }];
}
