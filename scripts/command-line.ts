/** The command line of every command, read strictly: what cannot be followed ends the command with its usage. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { optionsTakenByNpm } from '../src/config.ts';
import { reasonOf } from '../src/errors.ts';

type OptionDescriptions = NonNullable<ParseArgsConfig['options']>;
type Values<Options extends OptionDescriptions> = ReturnType<typeof parseArgs<{ options: Options }>>['values'];

export interface Command<Options extends OptionDescriptions> {
  /** As in `npm run NAME`. */
  name: string;
  usage: string;
  /** Its options but for --help, which every command has. */
  options: Options;
  /** What its only argument is called in `usage`; without it the command takes options alone. */
  argument?: string;
  /** Whether it takes any number of arguments, which it has to look at itself. */
  takesWords?: boolean;
}

/**
 * The values of the options, and the argument, '' where the command has none, or all words. Ends the process, before the
 * command has done anything: with 0 after --help, with 2 for what is not an option, an option twice, one that npm has kept
 * for itself, or more or fewer arguments than one.
 */
export function readCommandLine<Options extends OptionDescriptions>(
  command: Command<Options>,
): { values: Values<Options>; argument: string; words: string[] } {
  try {
    refuseTakenByNpm(command);
    const options = { ...command.options, help: { type: 'boolean' } } as const;
    const { argument: wanted, takesWords = false } = command;
    const allowPositionals = takesWords || wanted !== undefined;
    const { values, positionals, tokens } = parseArgs({ options, allowPositionals, tokens: true });
    const given = tokens.flatMap((token) => (token.kind === 'option' ? [token] : []));
    const twice = given.find((token, i) => given.findIndex((other) => other.name === token.name) !== i);
    if (twice) throw new Error(`--${twice.name} is there twice; which one is meant?`);
    if (!(values as { help?: boolean }).help) {
      const [argument = '', surplus] = positionals;
      if (wanted !== undefined && argument === '') throw new Error(`${wanted} is missing`);
      if (wanted !== undefined && surplus !== undefined) throw new Error(`'${surplus}': expected one ${wanted}`);
      return { values: values as Values<Options>, argument, words: positionals };
    }
  } catch (error) {
    failUsage(command, reasonOf(error));
  }
  console.log(command.usage);
  process.exit(0);
}

/** Ends the process with the usage, as for any option that cannot be followed. */
export function failUsage({ usage }: { usage: string }, reason: string): never {
  console.error(`${reason}\n\n${usage}`);
  process.exit(2);
}

/** Without a `--` npm takes options for its own, and the command would run without them. */
function refuseTakenByNpm({ name, options, takesWords }: Command<OptionDescriptions>): void {
  const taken = Object.entries(optionsTakenByNpm(name, Object.keys(options)));
  if (taken.length === 0) return;
  const rest = process.argv.slice(2);
  const isFlag = (option: string) => options[option]!.type === 'boolean';
  // `--data FILE` leaves npm with the option, as a flag, and us with its value: behind the words, as people write it.
  const without = taken.filter(([option, value]) => value === 'true' && !isFlag(option)).length;
  const values = without === 0 ? [] : rest.splice(takesWords ? -without : 0, without);
  const written = taken.flatMap(([option, value]) => {
    if (isFlag(option)) return [`--${option}`];
    return [`--${option}`, value === 'true' ? (values.shift() ?? value) : value];
  });
  const all = (takesWords ? [...rest, ...written] : [...written, ...rest]).map(quoted).join(' ');
  const names = taken.map(([option]) => `--${option}`).join(', ');
  throw new Error(`npm has taken ${names} for its own. Write \`npm run ${name} -- ${all}\`.`);
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`;
}
