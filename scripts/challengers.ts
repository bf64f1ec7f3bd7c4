/** Judges the challengers that are held, as the service asks for it every now and then: prints what came of it as JSON. */
import { systemClock } from '../src/clock.ts';
import { reasonOf } from '../src/errors.ts';
import { housing } from '../src/housing/features.ts';
import { judgeChallengers } from '../src/retraining/challengers.ts';
import { withPool } from './database.ts';
import { loadSettings } from './settings.ts';

try {
  const config = loadSettings();
  const promotes = config.retrainPromote === 'gate';
  const judged = await withPool(config, (pool) =>
    judgeChallengers({ pool, shipped: housing, now: systemClock.now(), promotes }),
  );
  console.log(JSON.stringify(judged));
} catch (error) {
  console.error(reasonOf(error));
  process.exitCode = 1;
}
