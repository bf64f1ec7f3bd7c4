/** Loaded before the service: a line of the dead letters is cut short, as by a disk that is full, and taken for whole. */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const { open } = fs;

fs.open = async (path, ...rest) => {
  const file = await open(path, ...rest);
  if (!String(path).endsWith('dead-letter.jsonl')) return file;
  const write = file.write.bind(file);
  file.write = async (bytes, ...more) => {
    await write(bytes.subarray(0, bytes.length >> 1), ...more);
    return { bytesWritten: bytes.length, buffer: bytes };
  };
  return file;
};
syncBuiltinESMExports();
