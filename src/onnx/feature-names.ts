/** A version names its features in their order, in its ONNX metadata: their number alone does not tell them apart. */
import { listing } from '../listing.ts';

/** The key of the metadata; its value is a JSON array of the names in the order of the input's columns. */
export const FEATURE_NAMES = 'feature_names';

/** Says in which the names in a file's metadata differ from the declared ones, or undefined when they are the same. */
export function nameProblem(stored: string | undefined, declared: readonly string[]): string | undefined {
  const found = readNames(stored);
  if (!found) return `It does not name its features (metadata ${FEATURE_NAMES}).`;
  const lacking = declared.filter((name) => !found.includes(name));
  const unknown = found.filter((name) => !declared.includes(name));
  if (lacking.length > 0 || unknown.length > 0) {
    const parts = [
      unknown.length > 0 && `expects ${listed(unknown)}, which the declaration lacks`,
      lacking.length > 0 && `does not expect ${listed(lacking)}, which is declared`,
    ];
    return `It ${parts.filter(Boolean).join(', and ')}.`;
  }
  const at = found.findIndex((name, i) => name !== declared[i]);
  if (at === -1 && found.length === declared.length) return undefined;
  if (found[at] === undefined || declared[at] === undefined) return `It names ${found.length} features, some twice.`;
  return `It expects ${listed([found[at]])} where ${declared[at]} is declared, as feature ${at + 1}.`;
}

function readNames(stored: string | undefined): string[] | undefined {
  try {
    const names: unknown = JSON.parse(stored ?? '');
    return Array.isArray(names) && names.every((name) => typeof name === 'string') ? names : undefined;
  } catch {
    return undefined;
  }
}

/** Names in a file may be of any number and length. */
const listed = (names: readonly string[]) => listing(names, 5, (name) => name.slice(0, 60));
