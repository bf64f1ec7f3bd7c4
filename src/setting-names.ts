/** Names that are nearly those of settings: a misspelt setting would be ignored in silence. */
import type { EnvFile } from './env-file.ts';
import { listing } from './listing.ts';
import { nearestName } from './nearest-name.ts';

/** A name this short is near to many words that mean something else. */
const SHORT = 8;
/** More names than this in one sentence say nothing more. */
const MAX_NAMES = 20;

/**
 * A near miss in `.env`, which is ours, is an error (`misspelt`). Any other name there may be for Compose, which reads the
 * same file, and a near miss in the environment for any program: these are `warnings`.
 */
export function judgeNames(
  settings: readonly string[],
  environment: Record<string, string | undefined>,
  file: EnvFile,
): { misspelt: string[]; warnings: string[] } {
  const isUnknown = (name: string) => !settings.includes(name);
  const misspelt: string[] = [];
  const others: string[] = [];
  for (const name of Object.keys(file.values).filter(isUnknown)) {
    const meant = nearestName(name, settings);
    if (meant) misspelt.push(`${name} in .env is no setting. Write ${meant}, or take it out.`);
    else if (!isOfPostgres(name)) others.push(settings.includes(name.toUpperCase()) ? `${name} (in lower case)` : name);
  }
  const nearly = Object.keys(environment)
    .filter((name) => isUnknown(name) && !(name in file.values))
    .flatMap((name) => {
      const meant = nearestInEnvironment(name, settings);
      return meant ? `${name} (${meant}?)` : [];
    });
  const repeated = file.repeated.filter((name) => !isUnknown(name));
  return {
    misspelt,
    warnings: [
      ...warning('.env names what is no setting of Ridgeline and changes nothing here', others),
      ...warning('.env gives more than one value, of which the last counts, for', repeated),
      ...warning('the environment has what is nearly a setting but none, and changes nothing', nearly),
    ],
  };
}

function warning(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  return [`${what}: ${listing(names, MAX_NAMES)}`];
}

/** `pg` reads PGPASSWORD, PGSSLMODE and more like them. */
function isOfPostgres(name: string): boolean {
  return /^PG[A-Z]+$/.test(name);
}

/** Not taken for mistakes: short names, of which an environment has many, and those of npm, Node and PostgreSQL. */
function nearestInEnvironment(name: string, settings: readonly string[]): string | undefined {
  if (name.length < SHORT || /^(npm_|NODE_|PG)/.test(name)) return undefined;
  return nearestName(name, settings);
}
