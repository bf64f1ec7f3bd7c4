/**
 * Loaded before the service: while the file named by FAILING_DISK exists, the calls it lists (`writeSync openSync
 * fdatasync unlinkSync`) fail on the spool's segments as they do on a disk that breaks.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { openSync, writeSync, fdatasync, unlinkSync, existsSync, readFileSync } = fs;
const switchFile = process.env.FAILING_DISK;
const descriptors = new Set();

const isSegment = (path) => String(path).endsWith('.segment');
const fails = (call) => existsSync(switchFile) && readFileSync(switchFile, 'utf8').split(/\s+/).includes(call);
const failure = (code, call) => Object.assign(new Error(`${code}: planted, ${call}`), { code, syscall: call });

fs.openSync = (path, ...rest) => {
  if (isSegment(path) && fails('openSync')) throw failure('EACCES', 'open');
  const descriptor = openSync(path, ...rest);
  if (isSegment(path)) descriptors.add(descriptor);
  else descriptors.delete(descriptor);
  return descriptor;
};
fs.writeSync = (descriptor, ...rest) => {
  if (descriptors.has(descriptor) && fails('writeSync')) throw failure('EIO', 'write');
  return writeSync(descriptor, ...rest);
};
fs.fdatasync = (descriptor, callback) => {
  if (descriptors.has(descriptor) && fails('fdatasync')) process.nextTick(callback, failure('EIO', 'fdatasync'));
  else fdatasync(descriptor, callback);
};
fs.unlinkSync = (path) => {
  if (isSegment(path) && fails('unlinkSync')) throw failure('EACCES', 'unlink');
  unlinkSync(path);
};
syncBuiltinESMExports();
