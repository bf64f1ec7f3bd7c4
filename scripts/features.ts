/** npm run features -- FILE.csv --target NAME: prints the declaration that training would derive. Publishes nothing. */
import { featuresFileOf, featuresText } from '../src/contract/features-text.ts';
import { tellable } from '../src/errors.ts';
import { deriveTrainingData } from '../src/training/training-data.ts';
import { failUsage, readCommandLine } from './command-line.ts';

const command = {
  name: 'features',
  usage: `Usage: npm run --silent features -- FILE.csv --target NAME > features.json

  FILE.csv       with a header; between commas, semicolons, tabs or bars, also packed with gzip
  --target NAME  the column that is predicted
  --json         print the declaration on one line
  --help

Prints the declaration to standard output, and to standard error what was decided for each column and why. Edit it, and
train with npm run train -- --data FILE.csv --features features.json`,
  options: { target: { type: 'string' }, json: { type: 'boolean', default: false } },
  argument: 'FILE.csv',
} as const;

const { values, argument } = readCommandLine(command);
if (!values.target) failUsage(command, '--target is missing: which column is predicted?');

try {
  const { contract, notes } = await deriveTrainingData(argument, values.target);
  for (const note of notes) console.error(note);
  const { declaration } = contract;
  console.log(values.json ? JSON.stringify(featuresFileOf(declaration)) : featuresText(declaration));
} catch (error) {
  console.error(tellable(error));
  process.exitCode = 1;
}
