import { expect, test } from 'vitest';
import { diskAdvice } from '../src/disk-advice.ts';

test.each([
  ['ENOSPC', /^Free space on the disk of DATA_DIR/],
  ['EDQUOT', /^Free space on the disk of DATA_DIR/],
  ['EACCES', /^Make DATA_DIR writable for the user that runs this \(uid \d+, gid \d+\)/],
  ['EPERM', /^Make DATA_DIR writable/],
  ['EROFS', /^Make DATA_DIR writable/],
  ['ENOENT', /^Make DATA_DIR by hand, writable for the user that runs this \(uid/],
  ['ENOTDIR', /^Set DATA_DIR to a directory/],
  ['EMFILE', /open files/],
  ['EIO', /^Repair the disk of DATA_DIR/],
])('%s has an advice of its own', (code, advice) => {
  expect(diskAdvice(Object.assign(new Error(), { code }), 'DATA_DIR')).toMatch(advice);
});

test('anything else that is thrown has one too', () => {
  for (const thrown of [undefined, 'text', new Error()])
    expect(diskAdvice(thrown, 'MODELS_DIR')).toContain('MODELS_DIR');
});
