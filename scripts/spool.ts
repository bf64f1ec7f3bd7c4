/** npm run spool -- DIR: shows what is in a spool, as JSON lines. Only reads, also beside the service that writes there. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { reasonOf } from '../src/errors.ts';
import { housing } from '../src/housing/features.ts';
import { recordColumns } from '../src/prediction-log/record-columns.ts';
import { linesOfSegment, segmentsAt } from '../src/prediction-log/spool-lines.ts';
import { readCommandLine } from './command-line.ts';

const usage = `Usage: npm run spool -- DIR

  DIR     DATA_DIR/spool for all spools, a directory in it for one, or a single .segment file
  --json  changes nothing: the output is JSON lines, {"segment", "record"} for each prediction that is there and
          {"segment", "reason", "bytes"} for what cannot be read, its bytes in base64
  --help`;

const { argument } = readCommandLine({
  name: 'spool',
  usage,
  options: { json: { type: 'boolean' } },
  argument: 'DIR',
});

function complain(path: string, error: unknown): void {
  console.error(`${path} cannot be shown. ${reasonOf(error)}`);
  process.exitCode = 1;
}

/** A file that cannot be read keeps no other from being shown. One that is gone has been stored since it was listed. */
async function* linesOf(paths: readonly string[]): AsyncGenerator<string> {
  const columns = recordColumns(housing);
  for (const path of paths) {
    try {
      yield* linesOfSegment(path, columns);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') complain(path, error);
    }
  }
}

try {
  await pipeline(Readable.from(linesOf(await segmentsAt(argument))), process.stdout, { end: false });
} catch (error) {
  // A reader that has closed the pipe, such as `head`, has seen enough.
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') complain(argument, error);
}
