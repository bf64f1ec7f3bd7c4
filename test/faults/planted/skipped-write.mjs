/** Loaded before the service: a spool that skips its write, once every ten times, and says that it was done. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { openSync, writeSync } = fs;
const descriptors = new Set();
let writes = 0;

fs.openSync = (path, ...rest) => {
  const descriptor = openSync(path, ...rest);
  if (String(path).endsWith('.segment')) descriptors.add(descriptor);
  else descriptors.delete(descriptor);
  return descriptor;
};
fs.writeSync = (descriptor, bytes, offset = 0, ...rest) => {
  if (descriptors.has(descriptor) && ++writes % 10 === 0) return bytes.length - offset;
  return writeSync(descriptor, bytes, offset, ...rest);
};
syncBuiltinESMExports();
