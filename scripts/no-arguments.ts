import { parseArgs } from 'node:util';
import { reasonOf } from '../src/errors.ts';

/** For commands that are told everything by settings: ends with `usage`, 2 for anything but --help. */
export function takeNoArguments(usage: string): void {
  let help: boolean | undefined;
  try {
    help = parseArgs({ options: { help: { type: 'boolean' } } }).values.help;
  } catch (error) {
    console.error(`${reasonOf(error)}\n\n${usage}`);
    process.exit(2);
  }
  if (!help) return;
  console.log(usage);
  process.exit(0);
}
