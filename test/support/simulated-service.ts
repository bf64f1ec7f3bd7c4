/**
 * The service in a process of its own, on a clock that its parent sets: what has been answered must survive a SIGKILL, and a
 * month must pass in seconds. Says where it listens, then that each new time is set.
 */
import { pino } from 'pino';
import { createApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';

let now = new Date(process.env.SIMULATED_START!);
const config = loadConfig();
const app = await createApp({
  config,
  databaseUrl: config.databaseUrl!,
  spoolRoot: config.dataDir,
  clock: { now: () => now },
  log: pino({ level: 'silent' }),
  droppedLines: () => 0,
});
const url = await app.http.listen({ host: '127.0.0.1', port: 0 });
process.on('message', ({ at }: { at: string }) => {
  now = new Date(at);
  process.send!({ at });
});
process.on('disconnect', () => process.exit(0));
process.send!({ url });
