import { execFileSync } from 'node:child_process';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import type { Dataset } from '../../src/estimators/dense-matrix.ts';
import { readCsvDataset } from '../../src/training/csv-dataset.ts';
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
  return (await readCsvDataset(path, contract)).dataset;
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

test('a header alone gives no rows', async () => {
  expect(await read('SIZE,ZONE,PRICE\n')).toMatchObject({ X: { rows: 0, columns: 2 }, y: new Float64Array(0) });
});

describe('a bad file is refused, and the message says where:', () => {
  test('every missing column is named', async () => {
    const message = await refusalOf(read('SIZE,COLOUR\n1,2\n'));
    expect(message).toBe('The header lacks ZONE, PRICE. Add these columns.');
  });

  test.each([
    ['a word', 'many', '"many"'],
    ['an empty field', '', '""'],
    ['not a number', 'NaN', '"NaN"'],
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
    expect(message).toBe(`Row 2, SIZE: ${shown} is not a finite number. Correct or drop the row.`);
  });

  test.each(['0x1F', '0X1f', '0o17', '0b11', ' 0x10 '])('a number in another base: %s', async (field) => {
    expect(await refusalOf(read(`PRICE,SIZE,ZONE\n900,${field},3\n`))).toBe(
      `Row 1, SIZE: "${field.trim()}" is not a finite number in decimal. Correct or drop the row.`,
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
    [
      'semicolons',
      'size;zone;price\n1;2;3\n',
      /begins with "size;zone;price", which has semicolons between its columns/,
    ],
    ['tabs', 'SIZE\tZONE\tPRICE\n1\t2\t3\n', /which has tabs between its columns\. The first line must be a header/],
    ['no header', '70.5,3,900\n', /begins with "70\.5,3,900"\. The first line must be a header with SIZE, ZONE, PRICE/],
    ['a line about the file', '# exported yesterday\nSIZE,ZONE,PRICE\n1,2,3\n', /begins with "# exported yesterday"/],
    ['a long first line', `${'x'.repeat(5000)}\n`, /begins with "x{40}…"/],
    ['a page', '<!doctype html>\n<html>\n', /begins with "<!doctype html>"/],
    ['nothing', '', /is empty/],
    ['only line ends', '\r\n\n\r', /is empty/],
    ['only a byte order mark', '\ufeff', /is empty/],
    ['a NUL', 'SIZE,ZONE,PRICE\n1,2,3\n1,\0,3\n', /NUL/],
  ])('a file of another kind: %s', async (_, text, message) => {
    expect(await refusalOf(read(text))).toMatch(message);
  });

  test.each<[string, Buffer, RegExp]>([
    ['UTF-16', Buffer.from('\ufeffSIZE,ZONE,PRICE\n', 'utf16le'), /it is UTF-16; save it as UTF-8/],
    ['UTF-16 without a mark', Buffer.from('SIZE,ZONE,PRICE\n', 'utf16le'), /NUL/],
    ['gzip', gzipSync('SIZE,ZONE,PRICE\n1,2,3\n'), /gzip archive; unpack it/],
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
    expect(await refusalOf(readCsvDataset('-', contract))).toMatch(/Name a file/);
  });

  test('a long field is shown by its beginning only', async () => {
    const message = await refusalOf(read(`SIZE,ZONE,PRICE\n${'x'.repeat(5000)},3,900\n`));
    expect(message.length).toBeLessThan(150);
  });

  test('a row with a field too many or too few', async () => {
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n1,2,3\n1,2,3,4\n'))).toMatch(
      /rows\.csv cannot be read: row 2 has 4 fields/,
    );
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n1,2\n'))).toMatch(/rows\.csv cannot be read: row 1 has 2 fields/);
  });

  test('a quote that is never closed', async () => {
    expect(await refusalOf(read('SIZE,ZONE,PRICE\n"1,2,3\n'))).toMatch(/rows\.csv cannot be read/);
  });

  test.each([
    ['never closed', '1,2,3\n"1,2,3\n', /in row 2 a quote is opened and never closed/],
    ['closed before the end of the field', '1,2,3\n1,2,3\n1,"2"x,3\n', /in row 3 more stands behind a closing quote/],
  ])('a quote that is %s, with its row', async (_, rows, message) => {
    expect(await refusalOf(read(`SIZE,ZONE,PRICE\n${rows}`))).toMatch(message);
  });

  test('a pipe to which nobody writes, without waiting for it', async () => {
    const path = join(directory, 'pipe.csv');
    execFileSync('mkfifo', [path]);
    expect(await refusalOf(readCsvDataset(path, contract))).toMatch(
      /it is a pipe or a device; write the rows to a file/,
    );
  });

  test('a device', async () => {
    expect(await refusalOf(readCsvDataset('/dev/null', contract))).toMatch(/it is a pipe or a device/);
  });

  test('a file that grows while it is read', async () => {
    const path = join(directory, 'growing.csv');
    await writeFile(path, `SIZE,ZONE,PRICE\n${'10,2,3\n'.repeat(500_000)}10,2,3`);
    const reading = refusalOf(readCsvDataset(path, contract));
    const growing = setInterval(() => void appendFile(path, '5\n'), 1);
    expect(await reading.finally(() => clearInterval(growing))).toMatch(/has changed while it was read/);
  });

  test('a file that is not there', async () => {
    const message = await refusalOf(readCsvDataset(join(directory, 'nothing.csv'), contract));
    expect(message).toMatch(/nothing\.csv cannot be read: ENOENT.* Name a CSV file that is there/);
  });

  test('a directory', async () => {
    expect(await refusalOf(readCsvDataset(directory, contract))).toMatch(/cannot be read: EISDIR/);
  });
});
