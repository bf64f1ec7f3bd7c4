/** The suite against services that break the guarantee: the check that ends every fault must see it. */
import { describe, expect, it } from 'vitest';
import { sourceEntryPoint } from '../support/server.ts';
import { isShort } from './form.ts';
import { runLoad } from './load.ts';
import { type Planted, plant } from './planted/planted.ts';
import { prepareService } from './service.ts';
import { expectNothingLost, storedWithin } from './verification.ts';

describe('a service that breaks the guarantee is found out', { concurrent: isShort }, () => {
  it.for<{ violation: string; planted: Planted; seen: 'missing' | 'duplicates' }>([
    { violation: 'a spool that skips its write', planted: 'skipped-write', seen: 'missing' },
    { violation: 'a relay that forgets a batch', planted: 'forgotten-batch', seen: 'missing' },
    { violation: 'a relay that stores a batch twice', planted: 'twice-stored', seen: 'duplicates' },
  ])('$violation', async ({ planted, seen }, { onTestFinished }) => {
    // From the sources, as some violations reach into libraries, which are part of what is built.
    const service = await prepareService({ settings: plant(planted), script: sourceEntryPoint, onTestFinished });
    const { url } = await service.start();
    const { answers, failures } = await runLoad({ url, connections: 8 }, 1_500);
    expect(failures).toEqual([]);
    const stored = await storedWithin(service.database, answers, 3_000);
    expect(stored[seen]).toBeGreaterThan(0);
    expect(() => expectNothingLost(stored)).toThrow();
  });
});
