import { execFileSync } from 'node:child_process';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import type { Dataset } from '../../src/estimators/dense-matrix.ts';
import { readTrainingData } from '../../src/training/training-data.ts';
import { contractOf } from '../support/declaration.ts';

const contract = contractOf(
  [
    { name: 'SIZE', dtype: 'float64' },
    { name: 'ZONE', dtype: 'int64', kind: 'categorical' },
  ],
  { name: 'PRICE' },
);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ridgeline-csv-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function read(text: string | Buffer): Promise<Dataset> {
  const path = join(directory, 'rows.csv');
  await writeFile(path, text);
  return (await readTrainingData({ data: path, served: contract })).dataset;
}

/** With another checksum. */
function damaged(archive: Buffer): Buffer {
  archive[archive.length - 8]! ^= 1;
  return archive;
}

async function refusalOf(reading: Promise<unknown>): Promise<string> {
  try {
    await reading;
  } catch (error) {
    expect(error).toBeInstanceOf(RidgelineError);
    expect((error as RidgelineError).code).toBe('training_data');
    return (error as RidgelineError).message;
  }
  throw new Error('The file was accepted.');
}

const twoRows: Dataset = {
  X: { rows: 2, columns: 2, data: Float64Array.of(70.5, 3, 41, -1) },
  y: Float64Array.of(900, 1e3),
};

describe('the same rows are read', () => {
  test.each([
    ['in the declared order', 'SIZE,ZONE,PRICE\n70.5,3,900\n41,-1,1e3\n'],
    ['in another order', 'PRICE,SIZE,ZONE\n900,70.5,3\n1e3,41,-1\n'],
    ['with a header in another case', 'size,Zone,pRICE\n70.5,3,900\n41,-1,1000'],
    ['with columns that nobody declared', 'id,SIZE,note,ZONE,PRICE\n1,70.5,"a, b",3,900\n2,41,,-1,1000\n'],
    ['after a byte order mark', '\ufeffSIZE,ZONE,PRICE\n70.5,3,900\n41,-1,1000\n'],
    ['after a byte order mark and in quotes', '\ufeff"SIZE","ZONE","PRICE"\n70.5,3,900\n41,-1,1000\n'],
    ['with the ends of lines of Windows', 'SIZE,ZONE,PRICE\r\n70.5,3,900\r\n41,-1,1000\r\n'],
    ['with blanks around the values and empty lines', 'SIZE , ZONE, PRICE\n\n 70.5,3 , 900\n\n41,-1,1000\n\n'],
    ['with both ends of lines', 'SIZE,ZONE,PRICE\r\n70.5,3,900\n41,-1,1000\r\n'],
    ['with the other end in the header', 'SIZE,ZONE,PRICE\n70.5,3,900\r\n41,-1,1000'],
    ['with the ends of lines of old', 'SIZE,ZONE,PRICE\r70.5,3,900\r41,-1,1000\r'],
    [
      'with an end of line within quotes',
      'SIZE,"a\r\nnote",ZONE,PRICE\n70.5,"x\ny",3,900\r\n41,"a ""b""\r\n",-1,1000\n',
    ],
    ['in every decimal spelling', 'SIZE,ZONE,PRICE\n+70.50,03,9e2\n4.1E+1,-1.0,1000.\n'],
    ['with quotes', '"SIZE","ZONE","PRICE"\n"70.5","3","900"\n"41","-1","1000"\n'],
  ])('%s', async (_, text) => {
    expect(await read(text)).toEqual(twoRows);
  });
});

test('rows without a target are left out', async () => {
  expect(await read('SIZE,ZONE,PRICE\n70.5,3,900\n1,1,\nx,y,NA\n41,-1,1e3\n,,\n')).toEqual(twoRows);
});

describe('a bad file is refused, and the message says where:', () => {
  test('no row, or none with a target', async () => {
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n'))).toBe('No row has a value of PRICE, the target.');
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n1,2,NA\n'))).toContain('No row has a value of PRICE');
  });

  test('every missing column is named', async () => {
    const message = await refusalOf(read('SIZE,COLOUR\n1,2\n'));
    expect(message).toBe('The header lacks ZONE, PRICE. Add these columns.');
  });

  test.each([
    ['a word', 'many', '"many"'],
    ['an infinite number', 'Infinity', '"Infinity"'],
    ['a number with a unit', '70 m2', '"70 m2"'],
    ['a decimal comma', '"70,5"', '"70,5"'],
    ['a number with gaps', '1_000', '"1_000"'],
    ['a number with a blank in it', '1 000', '"1 000"'],
    ['half of an exponent', '1e', '"1e"'],
    ['more than a float64 holds', '1e999', '"1e999"'],
    ['digits of another script', '١٢', '"١٢"'],
    ['signs alone', '+-1', '"+-1"'],
  ])('%s', async (_, field, shown) => {
    const message = await refusalOf(read(`PRICE,SIZE,ZONE\n900,1,3\n900,${field},3\n`));
    expect(message).toBe(`Row 2 (line 3), SIZE: ${shown} is not a finite number. Correct or drop the row.`);
  });

  test.each(['', ' ', 'NaN', 'NA', 'n/a', 'NULL', 'None', '#N/A'])('a missing value: %j', async (field) => {
    expect(await refusalOf(read(`PRICE,SIZE,ZONE\n900,1,3\n\n900,1,${field}\n`))).toBe(
      `Row 2 (line 4), ZONE: "${field.trim()}" is a missing value, and null is not declared. Fill it in or drop the row.`,
    );
  });

  test.each(['0x1F', '0X1f', '0o17', '0b11', ' 0x10 '])('a number in another base: %s', async (field) => {
    expect(await refusalOf(read(`PRICE,SIZE,ZONE\n900,${field},3\n`))).toBe(
      `Row 1 (line 2), SIZE: "${field.trim()}" is not a number in decimal. Correct or drop the row.`,
    );
  });

  test.each([
    ['the target, in another case', 'price,SIZE,ZONE,PRICE', 'PRICE 2 times: column 1 (price), column 4 (PRICE)'],
    ['a feature, with blanks', 'SIZE,ZONE, size ,PRICE', 'SIZE 2 times: column 1 (SIZE), column 3 (size)'],
    ['a feature, with a space of no width', 'SIZE,ZONE,PRICE,SIZE\u200b', 'SIZE 2 times: column 1 (SIZE), column 4'],
    ['a feature, in letters of full width', 'SIZE,ＺＯＮＥ,PRICE,zone', 'ZONE 2 times: column 2 (ＺＯＮＥ), column 4'],
    ['a feature, three times', 'ZONE,SIZE,ZONE,PRICE,Zone', 'ZONE 3 times: column 1 (ZONE), column 3 (ZONE), column 5'],
  ])('a wanted column that is there twice: %s', async (_, header, places) => {
    const message = await refusalOf(read(`${header}\n${header.replace(/[^,]+/g, '1')}\n`));
    expect(message).toContain(`The header names ${places}`);
  });

  test('while another column may be there as often as it likes', async () => {
    expect((await read('note,SIZE,note,ZONE,PRICE,,\na,1,b,2,3,,\n')).y).toEqual(Float64Array.of(3));
  });

  test.each([
    ['no header', '70.5,3,900\n', 'The first line, "70.5,3,900", must be a header with SIZE, ZONE, PRICE'],
    ['a line about the file', '# exported yesterday\nSIZE,ZONE,PRICE\n1,2,3\n', 'begins with "# exported yesterday"'],
    ['a long first line', `${'x'.repeat(5000)}\n`, `begins with "${'x'.repeat(40)}…"`],
    ['a page', '<!doctype html>\n<html>\n', 'begins with "<!doctype html>"'],
    ['nothing', '', 'is empty'],
    ['only line ends', '\r\n\n\r', 'is empty'],
    ['only a byte order mark', '\ufeff', 'is empty'],
    ['a NUL', 'SIZE,ZONE,PRICE\n1,2,3\n1,\0,3\n', 'NUL'],
  ])('a file of another kind: %s', async (_, text, message) => {
    expect(await refusalOf(read(text))).toContain(message);
  });

  test.each<[string, Buffer, RegExp]>([
    ['UTF-16 without a mark', Buffer.from('SIZE,ZONE,PRICE\n', 'utf16le'), /NUL/],
    ['gzip in gzip', gzipSync(gzipSync('SIZE,ZONE,PRICE\n1,2,3\n')), /gzip archive in another; unpack it once/],
    [
      'half a gzip archive',
      gzipSync('SIZE,ZONE,PRICE\n1,2,3\n').subarray(0, 20),
      /a damaged gzip archive \(unexpected end/,
    ],
    [
      'a changed gzip archive',
      damaged(gzipSync('SIZE,ZONE,PRICE\n1,2,3\n')),
      /a damaged gzip archive \(incorrect data/,
    ],
    ['a spreadsheet in gzip', gzipSync('PK\x03\x04'), /spreadsheet; save it as CSV/],
    [
      'half a character of UTF-16',
      Buffer.concat([Buffer.from('\ufeffSIZE\n', 'utf16le'), Buffer.of(65)]),
      /save it as UTF-8/,
    ],
    ['a spreadsheet', Buffer.from('PK\x03\x04'), /spreadsheet; save it as CSV/],
  ])('a file of another kind: %s', async (_, bytes, message) => {
    expect(await refusalOf(read(bytes))).toMatch(message);
  });

  test('a quote that is never closed in a large file, before all of it is held', async () => {
    const rows = '1,2,3\n'.repeat(4_000_000);
    expect(await refusalOf(read(`SIZE,ZONE,PRICE\n"1,2,3\n${rows}`))).toMatch(/a row is longer than .* quote/);
  });

  test('while a large file without one is read whole, ends of lines cut in two by its pieces', async () => {
    const rows = 2_000_000;
    const { X, y } = await read(`SIZE,ZONE,PRICE\r\n${'10,2,3\r\n'.repeat(rows)}`);
    expect([X.rows, y.length, X.data.at(-2), y.at(-1)]).toEqual([rows, rows, 10, 3]);
  });

  test('standard input', async () => {
    expect(await refusalOf(readTrainingData({ data: '-', served: contract }))).toMatch(/Name a file/);
  });

  test('a long field is shown by its beginning only', async () => {
    const message = await refusalOf(read(`SIZE,ZONE,PRICE\n${'x'.repeat(5000)},3,900\n`));
    expect(message.length).toBeLessThan(150);
  });

  test('a row with a field too many or too few', async () => {
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n1,2,3\n1,2,3,4\n'))).toMatch(
      /rows\.csv cannot be read: row 2 \(line 3\) has 4 fields and the header 3; correct or drop it/,
    );
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n1,2\n'))).toMatch(
      /rows\.csv cannot be read: row 1 \(line 2\) has 2 fields/,
    );
  });

  test('a quote that is never closed', async () => {
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n"1,2,3\n'))).toMatch(/rows\.csv cannot be read/);
  });

  test.each([
    ['never closed', '1,2,3\n"1,2,3\n', /in row 2 \(line 3\) a quote is opened and never closed/],
    [
      'closed before the end of the field',
      '1,2,3\n1,2,3\n1,"2"x,3\n',
      /in row 3 \(line 4\) more stands behind a closing quote/,
    ],
  ])('a quote that is %s, with its row', async (_, rows, message) => {
    expect(await refusalOf(read(`SIZE,ZONE,PRICE\n${rows}`))).toMatch(message);
  });

  test('a pipe to which nobody writes, without waiting for it', async () => {
    const path = join(directory, 'pipe.csv');
    execFileSync('mkfifo', [path]);
    expect(await refusalOf(readTrainingData({ data: path, served: contract }))).toMatch(
      /it is a pipe or a device; write the rows to a file/,
    );
  });

  test('a device', async () => {
    expect(await refusalOf(readTrainingData({ data: '/dev/null', served: contract }))).toMatch(
      /it is a pipe or a device/,
    );
  });

  test('a file that grows while it is read', async () => {
    const path = join(directory, 'growing.csv');
    await writeFile(path, `SIZE,ZONE,PRICE\n${'10,2,3\n'.repeat(500_000)}10,2,3`);
    const reading = refusalOf(readTrainingData({ data: path, served: contract }));
    const growing = setInterval(() => void appendFile(path, '5\n'), 1);
    expect(await reading.finally(() => clearInterval(growing))).toMatch(/has changed while it was read/);
  });

  test('a file that is not there', async () => {
    const message = await refusalOf(readTrainingData({ data: join(directory, 'nothing.csv'), served: contract }));
    expect(message).toMatch(/nothing\.csv cannot be read: ENOENT.* Name a CSV file that is there/);
  });

  test('a directory', async () => {
    expect(await refusalOf(readTrainingData({ data: directory, served: contract }))).toMatch(/cannot be read: EISDIR/);
  });
});
