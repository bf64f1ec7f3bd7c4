/** Loaded before the service: every sync is of the segment that was opened first, whichever one was meant. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { openSync, fdatasync } = fs;
let first;

fs.openSync = (path, ...rest) => {
  const descriptor = openSync(path, ...rest);
  if (String(path).endsWith('.segment')) first ??= openSync(path, 'a');
  return descriptor;
};
fs.fdatasync = (_descriptor, callback) => fdatasync(first, callback);
syncBuiltinESMExports();
