/**
 * Looks now and then for spools of dead processes, such as another worker's. It runs beside the relay: taking over what
 * they hold may take a while, and this process's own predictions need not wait for it.
 */
import type { Log } from '../../log.ts';

export interface AdoptionOptions {
  /** Takes over what dead processes have left, calls `found` for each part, and resolves with the rows. Never rejects. */
  adopt: (found: () => void) => Promise<number>;
  /** Called when there may be something to relay, and when a look has ended. */
  stir: () => void;
  log: Pick<Log, 'info'>;
}

export interface Adoption {
  /** Begins to look if it is time. */
  lookIfDue(): void;
  /** Milliseconds until then; Infinity while it looks. */
  untilDue(): number;
  isLooking(): boolean;
}

const EVERY_MS = 10_000;

export function createAdoption({ adopt, stir, log }: AdoptionOptions): Adoption {
  // On the clock of performance.now().
  let dueAt = 0;
  let looking = false;

  async function look(): Promise<void> {
    const rows = await adopt(stir);
    if (rows > 0)
      log.info({ rows }, 'an earlier process has left its spool; what Postgres lacks of these predictions is relayed');
    looking = false;
    stir();
  }

  return {
    lookIfDue() {
      if (looking || performance.now() < dueAt) return;
      dueAt = performance.now() + EVERY_MS;
      looking = true;
      void look();
    },
    untilDue: () => (looking ? Number.POSITIVE_INFINITY : Math.max(0, dueAt - performance.now())),
    isLooking: () => looking,
  };
}
