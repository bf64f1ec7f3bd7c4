/** Names that are nearly those of settings: a misspelt setting would be ignored in silence. */
import type { EnvFile } from './env-file.ts';

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
    const meant = nearestSetting(name, settings);
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
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : '';
  return [`${what}: ${names.slice(0, MAX_NAMES).join(', ')}${more}`];
}

/** `pg` reads PGPASSWORD, PGSSLMODE and more like them. */
function isOfPostgres(name: string): boolean {
  return /^PG[A-Z]+$/.test(name);
}

/** Not taken for mistakes: short names, of which an environment has many, and those of npm, Node and PostgreSQL. */
function nearestInEnvironment(name: string, settings: readonly string[]): string | undefined {
  if (name.length < SHORT || /^(npm_|NODE_|PG)/.test(name)) return undefined;
  return nearestSetting(name, settings);
}

/** The nearest of the settings within two edits of a name, or within one for a setting of fewer than 8 letters. */
export function nearestSetting(name: string, settings: readonly string[]): string | undefined {
  const near = settings
    .map((setting) => ({ setting, distance: editDistance(name, setting) }))
    .filter(({ setting, distance }) => distance <= (setting.length < SHORT ? 1 : 2));
  return near.sort((a, b) => a.distance - b.distance)[0]?.setting;
}

/** The least number of letters to insert, delete or replace that makes one word the other (Levenshtein, 1966). */
export function editDistance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = above[column - 1]! + Number(from[row - 1] !== to[column - 1]);
      current.push(Math.min(replaced, above[column]! + 1, current[column - 1]! + 1));
    }
    above = current;
  }
  return above[to.length]!;
}
