import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { deriveTrainingData, type TrainingData } from '../../src/training/training-data.ts';
import { makeDirectory } from '../support/directory.ts';

const directory = await makeDirectory('derived-data');
afterAll(() => rm(directory, { recursive: true, force: true }));

async function derive(text: string, { target = 'y', fileName = 'rows.csv' } = {}): Promise<TrainingData> {
  const data = join(directory, fileName);
  await writeFile(data, text);
  return deriveTrainingData(data, target);
}

async function refusalOf(reading: Promise<unknown>): Promise<string> {
  const error = await reading.then(
    () => expect.unreachable('The file was accepted.'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RidgelineError);
  expect((error as RidgelineError).code).toBe('training_data');
  return (error as RidgelineError).message;
}

/** A file with these cells in a column beside one that is always a feature, and the target. */
function fileOf(cells: readonly string[], separator = ','): string {
  const rows = cells.map((cell, i) => [cell, ['u', 'v'][i % 2], i].join(separator));
  return `${[['a', 'other', 'y'].join(separator), ...rows].join('\n')}\n`;
}

/** The feature that a column of these cells is, without what goes without saying, and the note about it. */
async function featureOf(cells: readonly string[], separator?: string) {
  const { contract, notes } = await derive(fileOf(cells, separator));
  const feature = contract.features.find(({ name }) => name === 'a');
  return { feature, note: notes.find((note) => /^(?: {2})?a: /.test(note))!.replace(/^ *a: /, '') };
}

const upTo = (count: number, cellOf: (i: number) => string | number) =>
  Array.from({ length: count }, (_, i) => `${cellOf(i)}`);

describe('the type of a column follows from all of its cells:', () => {
  test.each([
    ['whole numbers', ['1', '-2', '+3', '0'], 'int64'],
    ['the largest whole numbers', ['9007199254740991', '-9007199254740991'], 'int64'],
    ['larger ones', ['1', '9007199254740993'], 'float64'],
    ['a point in the last cell', ['1', '2', '3.0'], 'float64'],
    ['an exponent', ['1', '1e3'], 'float64'],
    ['fractions', ['.5', '5.', '-1.25E-3'], 'float64'],
    ['zeros and ones', ['0', '1', '1'], 'int64'],
    ['true and false in any case', ['true', 'FALSE', 'False', 'TRUE'], 'bool'],
    ['true and a number', ['true', '1'], 'string'],
    ['yes and no', ['yes', 'no'], 'string'],
    ['leading zeros', ['00501', '10001'], 'string'],
    ['a leading zero in one cell', ['1', '2', '03'], 'string'],
    ['a number with a unit', ['70', '71 m2'], 'string'],
    ['numbers of another base', ['0x1F', '0x20'], 'string'],
    ['an infinite number', ['1', 'inf'], 'string'],
    ['versions', ['1.2.3', '1.10.0'], 'string'],
  ])('%s', async (_, cells, dtype) => {
    expect((await featureOf(cells)).feature?.dtype).toBe(dtype);
  });

  test('with null, and what stands for it, where a cell is missing', async () => {
    expect((await featureOf(['1', '', '2'])).feature).toMatchObject({
      dtype: 'int64',
      kind: 'numerical',
      nullable: true,
    });
    expect((await featureOf(['true', 'NA', 'false'])).feature).toMatchObject({ dtype: 'bool', nullable: true });
    const { feature, note } = await featureOf(['x', 'NA', '', 'NA', 'x']);
    expect(feature).toMatchObject({ dtype: 'string', nullable: true, null_as: 'missing', categories: ['x'] });
    expect(note).toBe('string; 1 category: "x"; 3 missing (NA, empty), which are a category.');
    expect((await featureOf(['1.5', 'n/a', '2'])).note).toBe('float64; 1 missing (n/a), for which the mean stands.');
    expect((await featureOf(['1', '2'])).feature).toMatchObject({ nullable: false, optional: false });
    expect((await featureOf(['x', 'z'])).feature).not.toHaveProperty('null_as');
  });

  test('without the rows that have no target, which are counted', async () => {
    const { contract, dataset, notes, source } = await derive('a,b,y\n1,p,5\n1.5,q,\n2,p,NA\n3,r,6\n');
    expect(contract.features).toMatchObject([{ dtype: 'int64' }, { categories: ['p', 'r'] }]);
    expect(dataset).toEqual({
      X: { rows: 2, columns: 2, data: Float64Array.of(1, 0, 3, 1) },
      y: Float64Array.of(5, 6),
    });
    expect(notes).toContain('y: the target, from 5 to 6; 2 rows without it left out.');
    expect(source).toMatchObject({ rows: 4, columns: 3 });
  });

  test('categories are in the order of Python, that of code points', async () => {
    const { feature } = await featureOf(['a', '😀', 'Z', '\uff5e', 'ä', 'é', 'e\u0301']);
    expect(feature?.categories).toEqual(['Z', 'a', 'e\u0301', 'ä', 'é', '\uff5e', '😀']);
  });

  test('what reads like numbers but is none is said, with the first cell and its line', async () => {
    expect((await featureOf(['12', '15', '?', '12', '?'])).note).toBe(
      'string; 3 categories: "12", "15", "?". 3 of its 5 values are numbers, but not "?" in line 4. Correct that cell, or empty it if it is missing.',
    );
    expect((await featureOf([' a', 'b', ' a'])).note).toMatch(/some begin or end with a blank, which counts\.$/);
  });
});

describe('a column that cannot be a feature is left out, with the reason:', () => {
  test.each([
    ['nothing', ['', 'NA', ''], 'It is empty in every row.'],
    ['one number, also written differently', ['1', '1.0', ''], 'It is constant: the same in every row.'],
    ['one text', ['x', 'x'], 'It is constant: the same in every row.'],
    ['one boolean', ['true', 'TRUE'], 'It is constant: the same in every row.'],
    ['1,001 categories', upTo(2002, (i) => `x${i % 1001}`), 'It has 1001 categories, and at most 1000 are derived.'],
    [
      'more categories than are counted',
      upTo(20_002, (i) => `x${i % 10_001}`),
      'It has more than 10000 categories, and at most 1000 are derived.',
    ],
    [
      'a text that is there once in 20 rows',
      upTo(20, (i) => `x${i}`),
      'It is an identifier: each of its 20 values is there once.',
    ],
    [
      'a whole number that is there once in 20 rows',
      upTo(20, (i) => 7 * i),
      'It is an identifier: each of its 20 values is there once. If it measures something, declare it as int64 in the file of --features.',
    ],
    [
      'numbers too large for a float64',
      upTo(20, (i) => `900719925474099${i + 10}`),
      /^It is an identifier: each of its 20/,
    ],
    ['a long text', ['x'.repeat(1025), 'x'], 'It has texts of more than 1024 bytes, which are no categories.'],
    [
      'marks between thousands',
      ['"1,234.50"', '12'],
      'Its numbers are not all written as 1234.5 is: "1,234.50" in line 2.',
    ],
    [
      'decimal commas between commas',
      ['"12,5"', '12'],
      'Its numbers are not all written as 1234.5 is: "12,5" in line 2.',
    ],
  ])('%s', async (_, cells, reason) => {
    const { feature, note } = await featureOf(cells);
    expect(feature).toBeUndefined();
    if (typeof reason === 'string') expect(note).toBe(reason);
    else expect(note).toMatch(reason);
  });

  test.each([
    ['two values of which one is missing', ['x', '', 'x'], 'string'],
    ['1,000 categories', upTo(2000, (i) => `x${i % 1000}`), 'string'],
    ['texts that are there once in 19 rows', upTo(19, (i) => `x${i}`), 'string'],
    ['whole numbers that are there once in 19 rows', upTo(19, (i) => 7 * i), 'int64'],
    ['whole numbers of which one is there twice', upTo(40, (i) => i % 39), 'int64'],
    ['whole numbers that are there once, but not in every row', ['', ...upTo(30, (i) => i)], 'int64'],
    ['fractions that are there once', upTo(40, (i) => i + 0.5), 'float64'],
    ['whole numbers with a decimal point that are there once', upTo(40, (i) => `${1200 + i}.0`), 'float64'],
    ['large numbers that are there twice', upTo(40, (i) => `900719925474099${(i % 20) + 10}`), 'float64'],
  ])('while it stays with %s', async (_, cells, dtype) => {
    expect((await featureOf(cells)).feature?.dtype).toBe(dtype);
  });

  test.each([
    ['2024-01-31', '2023-12-01'],
    ['2024-01-31T23:59:59.123Z', '2024-02-29 08:00:00+01:00'],
    ['2024/1/31', '2024/2/1'],
    ['2024-01', '2024-02'],
    ['31.01.2024', '1.2.2024 08:15'],
    ['01/31/2024', '12/01/24'],
    ['31/01/2024', '1/2/2024 8:15 PM'],
    ['31-Jan-2024', '1 February 2024'],
    ['Jan 31, 2024', 'Wed, Feb 1, 2024'],
    ['Jan-1-1995', 'Feb-1-1995'],
    ['08:15', '23:59:59'],
    ['20240131', '19991231'],
    ['20240131T081500Z', '20240201T081500Z'],
  ])('dates and times such as %s', async (...dates) => {
    const { feature, note } = await featureOf([...dates, '', ...dates].map((cell) => `"${cell}"`));
    expect(feature).toBeUndefined();
    expect(note).toBe('It is a date or a time. Make numbers of what matters of it, such as the month.');
  });

  test.each([
    ['years', ['1999', '2024'], 'int64'],
    ['fractions that look like days', ['12.05', '24.12'], 'float64'],
    ['ranges', ['10-12', '13-15'], 'string'],
    ['telephone numbers', ['555-1234', '555-1235'], 'string'],
    ['whole numbers of eight digits', ['20241331', '20240131'], 'int64'],
    ['a date among other texts', ['2024-01-31', 'never'], 'string'],
    ['names of months', ['May', 'June'], 'string'],
  ])('while %s are none', async (_, cells, dtype) => {
    expect((await featureOf(cells)).feature?.dtype).toBe(dtype);
  });

  test.each(['', ' ', 'Unnamed: 0'])('an index column with the name %j', async (name) => {
    const { contract, notes, source } = await derive(`${name},a,y\n0,1,2\n1,2,3\n`);
    expect(contract.names).toEqual(['a']);
    expect(notes).toContain(`  ${name.trim() || 'column 1'}: It has no name, as the index of a data frame.`);
    expect(source.columns).toBe(3);
  });

  test.each(['base_value', '__proto__', 'x'.repeat(129), '"a\nb"'])('a column with the name %j', async (name) => {
    const { contract, notes } = await derive(`${name},a,y\n0,1,2\n1,2,3\n`);
    expect(contract.names).toEqual(['a']);
    expect(notes.join('\n')).toContain(': Its name cannot be that of a feature; rename the column.');
  });
});

test('what is left out stands together behind the features, an empty column without a name among it', async () => {
  const { notes } = await derive('a,b,c,y,\n1,k,x,1,\n2,k,z,2,\n');
  expect(notes.slice(2, -1)).toEqual([
    'a: int64.',
    'c: string; 2 categories: "x", "z".',
    'Left out:',
    '  b: It is constant: the same in every row.',
    '  column 5: It is empty in every row.',
  ]);
});

describe('what keeps a column from being what most of it is', () => {
  const correct = 'Correct that cell, or empty it if it is missing.';
  const withOne = (cells: readonly string[], other: string) => cells.with(12, other);
  const days = (i: number) => `2024-01-${String((i % 28) + 1).padStart(2, '0')}`;

  test.each([
    [
      'a typing error',
      withOne(
        upTo(60, (i) => i + 0.5),
        '1O.5',
      ),
      `59 of its 60 values are numbers, but not "1O.5" in line 14. ${correct}`,
    ],
    [
      'no date',
      withOne(upTo(28, days), 'unknown'),
      `27 of its 28 values are dates or times, but not "unknown" in line 14. ${correct}`,
    ],
    [
      'a currency',
      upTo(30, (i) => `$${i + 11}`),
      'Its numbers have a sign or a unit: "$11" in line 2. Write the numbers alone, as 1234.5.',
    ],
    [
      'a unit',
      upTo(30, (i) => `${i + 18} kg`),
      'Its numbers have a sign or a unit: "18 kg" in line 2. Write the numbers alone, as 1234.5.',
    ],
  ])('is said in the place of an identifier: %s', async (_, cells, reason) => {
    expect(await featureOf(cells)).toEqual({ feature: undefined, note: reason });
  });

  test.each([
    [
      'a typing error',
      withOne(
        upTo(60, (i) => i % 7),
        '1O',
      ),
      `59 of its 60 values are numbers, but not "1O" in line 14. ${correct}`,
    ],
    [
      'no date',
      withOne(upTo(60, days), 'never'),
      `59 of its 60 values are dates or times, but not "never" in line 14. ${correct}`,
    ],
    [
      'a percentage',
      upTo(30, (i) => `${i % 3},5%`),
      'Its numbers have a sign or a unit: "0,5%" in line 2. Write the numbers alone, as 1234.5.',
    ],
    [
      'a unit in most cells',
      withOne(
        upTo(30, (i) => `${i % 3} km/h`),
        '?',
      ),
      'Its numbers have a sign or a unit: "0 km/h" in line 2. Write the numbers alone, as 1234.5.',
    ],
  ])('is said of a feature too: %s', async (_, cells, advice) => {
    const { feature, note } = await featureOf(cells, ';');
    expect(feature?.dtype).toBe('string');
    expect(note).toMatch(/^string; \d+ categories: /);
    expect(note.endsWith(`. ${advice}`)).toBe(true);
  });

  test.each([
    ['numbers of houses', ['12a', '3b', '7c', '9d']],
    ['ordinal numbers', ['1st', '2nd', '3rd', '4th']],
    ['more than a few others', ['2024-01-01', '2024-01-02', 'x', 'y', 'z', '5 kg']],
  ])('is not guessed: %s', async (_, cells) => {
    expect((await featureOf(cells)).note).toMatch(/^string; \d categories: [^.]*\.$/);
  });
});

describe('decimal commas', () => {
  test('are read between semicolons and tabs, and said', async () => {
    for (const separator of [';', '\t', '|']) {
      const { feature, note } = await featureOf(['1,5', '-2', '1,234', '4e-1'], separator);
      expect([feature?.dtype, feature?.example, note]).toEqual(['float64', 1.5, 'float64, with decimal commas.']);
    }
    const { contract, dataset, notes } = await derive('a;y\n1;2,5\n2;3,5\n');
    expect([contract.declaration.output.example, dataset.y]).toEqual([2.5, Float64Array.of(2.5, 3.5)]);
    expect(notes).toContain('y: the target, from 2.5 to 3.5, with decimal commas.');
  });

  test('beside a column with points: each has its own', async () => {
    const { dataset } = await derive('a;b;y\n1,5;1.5;1\n2,5;2.25;2\n');
    expect(dataset.X.data).toEqual(Float64Array.of(1.5, 1.5, 2.5, 2.25));
  });

  test.each([
    ['commas that may be between thousands', 'a;b;y\n1,234;1;1\n12,500;2;2\n'],
    ['points that may be, beside decimal commas', 'a;b;y\n1.234;0,5;1\n12.500;2;2\n'],
  ])('are not taken for granted: %s', async (_, text) => {
    const { contract, notes } = await derive(text);
    expect(contract.names).toEqual(['b']);
    expect(notes.join('\n')).toMatch(/ {2}a: "1[.,]234" in line 2 may be a fraction, or grouped by thousands\./);
  });

  test('while three digits after a point are a fraction where there are no decimal commas', async () => {
    for (const separator of [',', ';']) {
      expect((await featureOf(['1.234', '12.500'], separator)).feature).toMatchObject({
        dtype: 'float64',
        example: 1.234,
      });
    }
  });

  test('in a column with points too are refused', async () => {
    expect((await featureOf(['1.5', '2.5', '1,5'], ';')).note).toBe(
      'Its numbers are not all written as 1234.5 is: "1,5" in line 4.',
    );
  });
});

test('the examples are those of the first row with the fewest nulls', async () => {
  const { contract } = await derive('a,b,c,y\n1,,true,1\n2,x,,2\n3,z,false,3\n,p,true,4\n');
  expect(contract.features.map(({ example }) => example)).toEqual([3, 'z', false]);
  expect(contract.declaration.output.example).toBe(3);
  const { contract: other } = await derive('a,b,c,y\n1,,,1\n2,x,,2\n,z,false,3\n,,true,4\n');
  expect(other.features.map(({ example }) => example)).toEqual([2, 'x', null]);
});

test.each([
  ['penguins.csv', 'penguins'],
  ['Flat prices (2024).csv.gz', 'flat_prices_2024'],
  ['2024-flats.tsv', 'data_2024_flats'],
  ['Größe.csv', 'gr_e'],
  ['данные.csv', 'data'],
  [`${'long_'.repeat(20)}.csv`, 'long_long_long_long_long_long_long_long'],
])('a file %s makes a declaration %s', async (fileName, name) => {
  expect((await derive('a,y\n1,2\n2,3\n', { fileName })).contract.declaration.name).toBe(name);
});

describe('a target is refused', () => {
  test.each([
    ['in another case', 'price', 'The header has no column price. Did you mean Price? It has size, Price, note.'],
    [
      'with a letter too many',
      'Prices',
      'The header has no column Prices. Did you mean Price? It has size, Price, note.',
    ],
    ['that is the beginning', 'siz', 'The header has no column siz. Did you mean size? It has size, Price, note.'],
    ['that is nowhere near', 'rent', 'The header has no column rent. It has size, Price, note.'],
  ])('%s', async (_, target, message) => {
    expect(await refusalOf(derive('size,Price,note\n1,2,x\n', { target }))).toBe(message);
  });

  test.each([
    ['texts', ['cheap', '3'], 'The target y has "cheap" in line 2. Only numbers can be predicted.'],
    ['one text', ['3', '4', 'sold'], 'The target y has "sold" in line 4.'],
    ['booleans', ['true', 'false'], 'The target y has "true" in line 2.'],
    ['dates', ['2024-01-31', '2024-02-01'], 'The target y has "2024-01-31" in line 2.'],
    ['leading zeros', ['007', '008'], 'The target y has "007" in line 2.'],
    [
      'marks between thousands',
      ['"1,234"', '5'],
      'The target y has "1,234" in line 2. Only numbers can be predicted. Write them as 1234.5',
    ],
    ['nothing', ['', 'NA'], 'No row has a value of y, the target.'],
  ])('with %s', async (_, cells, message) => {
    const rows = cells.map((cell, i) => `${i},${cell}\n`).join('');
    expect(await refusalOf(derive(`a,y\n${rows}`))).toContain(message);
  });

  test('that may be grouped by thousands', async () => {
    expect(await refusalOf(derive('a;y\n1;1,234\n2;1,500\n'))).toBe(
      'The target y: "1,234" in line 2 may be a fraction, or grouped by thousands. Write 1.5 or 1500.',
    );
  });
});

test('a target that is asked for by a part of its name is suggested, never a column without a name', async () => {
  const text = ';Fläche (m²);Preis (€)\n0;1;2\n1;2;3\n';
  const refused = (target: string) => refusalOf(derive(text, { target }));
  expect(await refused('Preis')).toBe(
    'The header has no column Preis. Did you mean Preis (€)? It has Fläche (m²), Preis (€).',
  );
  expect(await refused('m2')).toBe('The header has no column m2. It has Fläche (m²), Preis (€).');
  expect(await refused('FLÄCHE (M2)')).toContain('Did you mean Fläche (m²)?');
  expect(await refused('x')).toBe('The header has no column x. It has Fläche (m²), Preis (€).');
});

describe('a file is refused', () => {
  test('with a name twice, also in another case', async () => {
    expect(await refusalOf(derive('a,A,y\n1,2,3\n'))).toContain('names a 2 times: column 1 (a), column 2 (A)');
  });

  test('when nothing is left', async () => {
    expect(await refusalOf(derive('a,b,y\n1,,3\n1,,4\n'))).toBe(
      'No column can be a feature. a: It is constant: the same in every row. b: It is empty in every row.',
    );
  });

  test('with more columns than can be served', async () => {
    const header = upTo(401, (i) => `c${i}`).join(',');
    const rows = [1, 2, 3].map((row) => `${upTo(401, (i) => row + i).join(',')},${row}`);
    expect(await refusalOf(derive(`${header},y\n${rows.join('\n')}\n`))).toMatch(
      /^401 columns can be features, and at most 400 are served/,
    );
  });

  test('that can be read with two separators, unless its rows or the target tell', async () => {
    expect(await refusalOf(derive('a;b,y;z\n1;2,3;4\n', { target: 'q' }))).toContain(
      'can be read with commas (2 columns) or with semicolons (3 columns). Put names that hold such a sign in quotes.',
    );
    expect((await derive('a;b,c;y\n1;2,5;3\n2;2,5;4\n')).contract.names).toEqual(['a']);
    expect((await derive('a (m, net);y\n1;2\n2;3\n')).contract.names).toEqual(['a (m, net)']);
  });

  test.each([
    [
      'with one column',
      'y\n1\n2\n',
      'rows.csv has no other column than the target. It is predicted from others, between commas, semicolons,',
    ],
    ['without names', ',,\n1,2,3\n', 'The header has no column y. It has no names.'],
    ['between blanks', 'a y\n1 2\n', 'begins with "a y". The first line must be a header with y and other columns'],
  ])('%s', async (_, text, message) => {
    expect(await refusalOf(derive(text))).toContain(message);
  });

  test('that begins with a line for Excel', async () => {
    expect(await refusalOf(derive('sep=;\r\na;y\r\n1;2\r\n'))).toMatch(
      /rows\.csv begins with sep=;, which is for Excel alone/,
    );
  });

  test('that is Latin-1, with the line', async () => {
    const data = join(directory, 'latin1.csv');
    await writeFile(data, Buffer.from(`a,b,y\n${'1,x,2\n'.repeat(300_000)}1,Kraków,2\n`, 'latin1'));
    expect(await refusalOf(deriveTrainingData(data, 'y'))).toContain('line 300002 is not UTF-8, perhaps Latin-1; save');
  });

  test('whose header names one column less than its rows have', async () => {
    expect(await refusalOf(derive('a,y\nr1,1,2\nr2,3,4\n'))).toContain(
      'row 1 (line 2) has 3 fields and the header 2; give every column a name in the header',
    );
  });

  test('with a ragged row, by the line of the file', async () => {
    expect(await refusalOf(derive('a,b,y\n1,"x\r\ny\n",2\n\n1,2\n'))).toContain(
      'row 2 (line 6) has 2 fields and the header 3',
    );
  });
});
