import { type Config, loadConfig } from '../src/config.ts';
import { complain } from '../src/log.ts';

/** The settings of a command that a person waits for. Warnings go to standard error, as results go to standard output. */
export function loadSettings(): Readonly<Config> {
  const config = loadConfig();
  for (const warning of config.warnings) complain(`Warning: ${warning}`);
  return config;
}
