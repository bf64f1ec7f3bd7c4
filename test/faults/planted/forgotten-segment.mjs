/** Loaded before the service: an adoption that does not see the first segment of a directory. */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const { readdir } = fs;

fs.readdir = async (path, ...rest) => {
  const names = await readdir(path, ...rest);
  const first = names.filter((name) => String(name).endsWith('.segment')).sort()[0];
  return names.filter((name) => name !== first);
};
syncBuiltinESMExports();
