import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { featuresText } from '../../src/contract/features-text.ts';
import { RidgelineError } from '../../src/errors.ts';
import { deriveTrainingData, readTrainingData, type TrainingData } from '../../src/training/training-data.ts';
import { contractOf, everyType, wines } from '../support/declaration.ts';
import { makeDirectory } from '../support/directory.ts';

const directory = await makeDirectory('training-data');
afterAll(() => rm(directory, { recursive: true, force: true }));

const data = join(directory, 'rows.csv');
const features = join(directory, 'features.json');

async function refusalOf(reading: Promise<unknown>): Promise<string> {
  const error = await reading.then(
    () => expect.unreachable('The file was accepted.'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RidgelineError);
  return (error as RidgelineError).message;
}

describe('under the contract of what is served', () => {
  async function readServed(text: string, served = wines): Promise<TrainingData> {
    await writeFile(data, text);
    return readTrainingData({ data, served });
  }

  test('a file is read and named; the contract is the same object', async () => {
    const text = 'note,acidity,vineyard,sugar,alcohol,oak,score\n,6,3,2.5,12,1,7\n,6,3,2.5,12,1,8\n';
    const read = await readServed(text);
    expect(read.contract).toBe(wines);
    expect(read).toEqual({
      contract: wines,
      dataset: {
        X: { rows: 2, columns: 5, data: Float64Array.of(6, 3, 2.5, 12, 1, 6, 3, 2.5, 12, 1) },
        y: Float64Array.of(7, 8),
      },
      notes: [
        'rows.csv: 2 rows and 7 columns, between commas.',
        'score: the target, from 7 to 8.',
        ...['acidity: float64.', 'vineyard: int64.', 'sugar: float64.', 'alcohol: float64.', 'oak: int64.'],
        'Not declared, and left out: note.',
      ],
      source: { name: 'rows.csv', sha256: createHash('sha256').update(text).digest('hex'), rows: 2, columns: 7 },
    });
  });

  test('categories that are new come after the declared ones, and are said', async () => {
    const served = contractOf([
      { name: 'city', dtype: 'string', nullable: true, null_as: 'none', categories: ['Wola', 'Bemowo'] },
      { name: 'zone', dtype: 'int64', kind: 'categorical', categories: [3, 1] },
    ]);
    const { contract, dataset, notes } = await readServed(
      'city,zone,prediction\nWola,10,1\nnone,2,2\nŻoliborz,3,3\n,1,4\nAniń,2.0,5\n',
      served,
    );
    expect(contract.features.map(({ categories }) => categories)).toEqual([
      ['Wola', 'Bemowo', 'Aniń', 'Żoliborz'],
      [3, 1, 2, 10],
    ]);
    expect(notes.slice(2)).toEqual([
      'city: string; 4 categories: "Wola", "Bemowo", "Aniń", "Żoliborz"; 1 missing (empty), which are a category.',
      'zone: int64; 4 categories: 3, 1, 2, 10.',
      'city: new categories, which are appended: "Aniń", "Żoliborz".',
      'zone: new categories, which are appended: 2, 10.',
    ]);
    const [wola, none, zoliborz, anin] = ['Wola', 'none', 'Żoliborz', 'Aniń'].map((text) =>
      contract.texts.indexOf(text),
    );
    expect(Array.from(dataset.X.data)).toEqual([wola, 10, none, 2, zoliborz, 3, Number.NaN, 1, anin, 2]);
    expect(served.features[0]!.categories).toEqual(['Wola', 'Bemowo']);
  });

  test('categories that are closed stay so', async () => {
    const served = contractOf([{ name: 'city', dtype: 'string', categories: ['Wola'], unknown: 'refuse' }]);
    expect(await refusalOf(readServed('city,prediction\nWola,1\n\nBemowo,2\n', served))).toBe(
      'Row 2 (line 4), city: "Bemowo" is no declared category. Declare it or drop the row.',
    );
  });

  test('more categories than can be declared are refused', async () => {
    const served = contractOf([{ name: 'city', dtype: 'string' }]);
    const rows = Array.from({ length: 10_001 }, (_, i) => `c${i},${i}\n`).join('');
    expect(await refusalOf(readServed(`city,prediction\n${rows}`, served))).toMatch(/^city has more categories than/);
  });

  test('columns that are missing are named, with what they may be called', async () => {
    expect(await refusalOf(readServed('acidity,vinyard,sugar,alcohol,oak,points\n1,2,3,4,5,6\n'))).toBe(
      'The header lacks vineyard (did you mean vinyard?), score. Add these columns.',
    );
  });
});

describe('under a declaration that is pinned', () => {
  async function readPinned(text: string, declaration: string | object, target?: string): Promise<TrainingData> {
    await writeFile(data, text);
    await writeFile(features, typeof declaration === 'string' ? declaration : JSON.stringify(declaration));
    return readTrainingData({ data, features, target, served: wines });
  }
  const declare = (...declared: object[]) => ({
    name: 'flats',
    features: declared,
    output: { task: 'regression', name: 'price' },
  });

  test('a file is read as the one that was derived from it', async () => {
    await writeFile(data, 'size,city,new,floor,price\n71.5,Wola,TRUE,,812\n40,,false,3,500\n');
    const derived = await deriveTrainingData(data, 'price');
    await writeFile(
      features,
      `\n> ridgeline@0.1.0 features\n> npm run build\n\n${featuresText(derived.contract.declaration)}\n`,
    );
    const pinned = await readTrainingData({ data, features, served: wines });
    expect(pinned.contract.text).toBe(derived.contract.text);
    expect(pinned.dataset).toEqual(derived.dataset);
    await writeFile(features, `\ufeff${featuresText(derived.contract.declaration)}`);
    expect((await readTrainingData({ data, features, served: wines })).contract.text).toBe(derived.contract.text);
  });

  test('a text without categories learns them, declared ones stay exactly these, and what is beyond is counted', async () => {
    const { contract, dataset, notes } = await readPinned(
      'city,heat,price\nWola,gas,1\nBemowo,oil,2\n"Ą",wood,3\n',
      declare({ name: 'city', dtype: 'string' }, { name: 'heat', dtype: 'string', categories: ['gas'] }),
    );
    expect(contract.features.map(({ categories }) => categories)).toEqual([['Bemowo', 'Wola', 'Ą'], ['gas']]);
    const unknown = contract.texts.length;
    expect(Array.from(dataset.X.data)).toEqual([1, contract.texts.indexOf('gas'), 0, unknown, 2, unknown]);
    expect(notes.slice(2)).toEqual([
      'city: string; 3 categories: "Bemowo", "Wola", "Ą".',
      'heat: string; 1 category: "gas".',
      'heat: 2 cells beyond the declared categories, trained as none of them.',
    ]);
  });

  test('a category that is spelled as missing values are is a category', async () => {
    const { dataset } = await readPinned(
      'country,price\nNA,1\nDE,2\n,3\n',
      declare({ name: 'country', dtype: 'string', nullable: true, categories: ['DE', 'NA'] }),
    );
    expect(Array.from(dataset.X.data)).toEqual([1, 0, Number.NaN]);
  });

  test.each([
    [{ dtype: 'bool' }, '1', '"1" is neither true nor false. Correct it'],
    [{ dtype: 'int64' }, '1.5', '"1.5" is no whole number up to 2^53 - 1. Correct it or declare float64'],
    [{ dtype: 'int64' }, '9007199254740993', '"9007199254740993" is no whole number up to 2^53 - 1.'],
    [{ dtype: 'int64', minimum: 0 }, '-1', '-1 is below the declared minimum, 0'],
    [{ dtype: 'float64', maximum: 0.5 }, '0.75', '0.75 is above the declared maximum, 0.5'],
    [{ dtype: 'float64' }, 'many', '"many" is not a finite number. Correct or drop the row'],
    [{ dtype: 'float64' }, '', '"" is a missing value, and null is not declared. Fill it in or drop the row'],
    [{ dtype: 'string', max_length: 3 }, 'Łód', 'a text of 5 bytes is longer than max_length, 3. Shorten it'],
    [{ dtype: 'int64', kind: 'categorical', categories: [1], unknown: 'refuse' }, '2', '"2" is no declared category.'],
  ])('%j: %j is refused by its line', async (declared, cell, message) => {
    const reading = readPinned(`b,a,price\ntrue,${cell},1\ntrue,${cell},2\n`, declare({ name: 'a', ...declared }));
    expect(await refusalOf(reading)).toContain(`Row 1 (line 2), a: ${message}`);
  });

  test('every type is read, null too', async () => {
    const text = [
      'size;Rooms (total);floor;lift;garden;district;heating;remark/~;select;price',
      '71,5;3;2;True;;Wola;gas;"a; ""b""";0,25;812',
      '40;NA;NA;false;TRUE;Ursus;none;;NA;500',
    ];
    const { dataset, contract } = await readPinned(text.join('\r\n'), everyType.declaration);
    const at = (value: string) => contract.texts.indexOf(value);
    expect(Array.from(dataset.X.data)).toEqual([
      ...[71.5, 3, 2, 1, Number.NaN, at('Wola'), at('gas'), at('a; "b"'), 0.25],
      ...[40, Number.NaN, Number.NaN, 0, 1, contract.texts.length, at('none'), Number.NaN, Number.NaN],
    ]);
    expect(dataset.y).toEqual(Float64Array.of(812, 500));
  });

  test('of each column is said what is said of a derived one, with what stands for null', async () => {
    const { notes } = await readPinned(
      'a;b;c;d;e;price\n1,5;1;NA;x;1;1\n;;true;NA;NA;2\n2;3;false;;2;3\n',
      declare(
        { name: 'a', dtype: 'float64', nullable: true },
        { name: 'b', dtype: 'int64', nullable: true, null_as: 7 },
        { name: 'c', dtype: 'bool', nullable: true },
        { name: 'd', dtype: 'string', nullable: true, null_as: 'x', categories: ['x', 'z'] },
        { name: 'e', dtype: 'int64', nullable: true, kind: 'categorical', categories: [1, 2] },
      ),
    );
    expect(notes.slice(2)).toEqual([
      'a: float64, with decimal commas; 1 missing (empty), for which the mean stands.',
      'b: int64; 1 missing (empty), for which 7 stands.',
      'c: bool; 1 missing (NA), which are a category.',
      'd: string; 2 categories: "x", "z"; 2 missing (NA, empty), for which "x" stands.',
      'e: int64; 2 categories: 1, 2; 1 missing (NA), which are a category.',
    ]);
  });

  test('numbers that may be grouped by thousands are refused', async () => {
    expect(await refusalOf(readPinned('a;price\n1,234;1\n2,500;2\n', declare({ name: 'a', dtype: 'float64' })))).toBe(
      'a: "1,234" in line 2 may be a fraction, or grouped by thousands. Write 1.5 or 1500.',
    );
  });

  test('two features whose names a header cannot tell apart are refused, as both would be one column', async () => {
    const twins = declare({ name: 'a', dtype: 'int64' }, { name: 'A ', dtype: 'int64' });
    expect(await refusalOf(readPinned('a,price\n1,2\n2,3\n', twins))).toBe(
      'a and A  are one name in a header, where neither case nor blanks count. Rename one of the features.',
    );
  });

  test('the target is the one of the file, or the one of the command where the file names none', async () => {
    const text = 'a,price,rent\n1,2,3\n2,3,4\n';
    const unnamed = { name: 'flats', features: [{ name: 'a', dtype: 'int64' }], output: { task: 'regression' } };
    expect((await readPinned(text, unnamed, 'rent')).contract.declaration.output.name).toBe('rent');
    const named = declare({ name: 'a', dtype: 'int64' });
    expect((await readPinned(text, named)).dataset.y).toEqual(Float64Array.of(2, 3));
    expect((await readPinned(text, named, 'price')).dataset.y).toEqual(Float64Array.of(2, 3));
    expect(await refusalOf(readPinned(text, named, 'rent'))).toBe(
      'The features file predicts price, and --target names rent. Leave --target out.',
    );
    expect(await refusalOf(readPinned(text, declare({ name: 'Price', dtype: 'int64' })))).toBe(
      'price is declared as a feature and as the target. Take it out of the features.',
    );
  });

  test.each([
    [
      'nothing',
      '',
      /features\.json cannot be read: Unexpected end of JSON input\. It has to be JSON, as npm run features/,
    ],
    ['another file', 'a,b\n1,2\n', /features\.json cannot be read: .*is not valid JSON/s],
    ['a declaration that is none', '{"name":"flats"}', /features\.json: features: /],
  ])('a features file is refused: %s', async (_, text, message) => {
    expect(await refusalOf(readPinned('a,price\n1,2\n', text))).toMatch(message);
  });

  test('a features file that is not there is named', async () => {
    const reading = readTrainingData({ data, features: join(directory, 'none.json'), served: wines });
    expect(await refusalOf(reading)).toMatch(/none\.json cannot be read: ENOENT/);
  });

  test('a relative path that leads nowhere is told as the absolute one', async () => {
    const options = { data: 'none.csv', target: 'y', served: wines };
    expect(await refusalOf(readTrainingData(options))).toContain(
      `${join(process.cwd(), 'none.csv')} cannot be read: ENOENT`,
    );
    expect(await refusalOf(readTrainingData({ ...options, features: 'none.json' }))).toContain(
      `${join(process.cwd(), 'none.json')} cannot be read: ENOENT`,
    );
    const directoryItself = readTrainingData({ data: directory, target: 'y', served: wines });
    expect(await refusalOf(directoryItself)).toContain(`${directory} cannot be read: EISDIR`);
  });

  test('a header with none of the names is shown as it is written', async () => {
    await writeFile(data, 'size;"a;b"\n1;2\n');
    expect(await refusalOf(readTrainingData({ data, served: wines }))).toContain(
      'The first line, "size;\\"a;b\\"", must be a header with',
    );
  });
});
