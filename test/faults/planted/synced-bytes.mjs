/**
 * Loaded before the service: notes in the file named by SYNCED_BYTES what a power loss would leave of the spool's segments,
 * a line for each sync that has ended well: the inode of the file and its size when the sync began. A descriptor that is
 * closed while a sync of it is under way is noted as a violation: its number may be another file's when the kernel comes
 * to it.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { openSync, closeSync, fdatasync, fstatSync, writeSync } = fs;
const notes = openSync(process.env.SYNCED_BYTES, 'a');
const note = (line) => writeSync(notes, `${JSON.stringify(line)}\n`);
const segments = new Map();
const underWay = new Map();

fs.openSync = (path, ...rest) => {
  const descriptor = openSync(path, ...rest);
  segments.delete(descriptor);
  if (String(path).endsWith('.segment')) segments.set(descriptor, String(path));
  return descriptor;
};
fs.closeSync = (descriptor) => {
  if (underWay.get(descriptor) > 0) note({ violation: `closed during a sync: ${segments.get(descriptor)}` });
  segments.delete(descriptor);
  closeSync(descriptor);
};
fs.fdatasync = (descriptor, callback) => {
  const { ino, size } = fstatSync(descriptor);
  underWay.set(descriptor, (underWay.get(descriptor) ?? 0) + 1);
  fdatasync(descriptor, (error) => {
    underWay.set(descriptor, underWay.get(descriptor) - 1);
    if (!error) note({ inode: ino, size });
    callback(error);
  });
};
syncBuiltinESMExports();
