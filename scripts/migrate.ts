/** npm run migrate: brings the schema of the database up to date. */
import { migrate } from '../src/database/migrate.ts';
import { reasonOf } from '../src/errors.ts';
import { withDatabase } from '../src/process/open-database.ts';
import { readCommandLine } from './command-line.ts';
import { loadSettings } from './settings.ts';

readCommandLine({ name: 'migrate', usage: 'Usage: npm run migrate', options: {} });

try {
  await withDatabase(loadSettings(), async ({ url }) => {
    const applied = await migrate(url, { retryForMs: 60_000 });
    console.log(applied.length > 0 ? `Applied ${applied.join(', ')}` : 'The schema is up to date.');
  });
} catch (error) {
  console.error(`Migration failed. ${reasonOf(error)}`);
  process.exitCode = 1;
}
