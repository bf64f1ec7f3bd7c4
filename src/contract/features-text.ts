/** A declaration as the features file that people read and edit: a line a feature, and nothing that goes without saying. */

import { parseDeclaration } from './declaration.ts';
import type { Declaration, Feature } from './features-schema.ts';

/** What parseDeclaration makes the same declaration of. */
export function featuresFileOf({ features, ...rest }: Declaration) {
  return { ...rest, features: features.map(withoutDefaults) };
}

function withoutDefaults(feature: Feature): Partial<Feature> {
  const { name, dtype } = feature;
  const least = { name, dtype };
  const [filled] = parseDeclaration({ name: 'one', features: [least], output: { task: 'regression' } }).features;
  const others = Object.entries(feature).filter(([key, value]) => filled![key as keyof Feature] !== value);
  return { ...least, ...Object.fromEntries(others) };
}

export function featuresText(declaration: Declaration): string {
  const { features, output, ...rest } = featuresFileOf(declaration);
  const lines = [
    ...Object.entries(rest).map(([key, value]) => `  "${key}": ${JSON.stringify(value)}`),
    `  "features": [\n${features.map((feature) => `    ${onOneLine(feature)}`).join(',\n')}\n  ]`,
    `  "output": ${onOneLine(output)}`,
  ];
  return `{\n${lines.join(',\n')}\n}`;
}

/** Line ends are between the parts of JSON alone, never in them. */
function onOneLine(value: object): string {
  return JSON.stringify(value, null, 1).replace(/\n */g, ' ');
}
