/**
 * The versions in memory: the one that answers and, for some seconds after a swap to another contract, the one before.
 *
 * Rows are run by the contract under which they were read. A version of the same contract runs what its predecessor would
 * have run, which can go at once. One of another contract cannot: what has been read for its predecessor is still to be
 * run by that.
 */
import type { Contract } from '../contract/contract.ts';
import type { Log } from '../log.ts';

/** What a loaded version must be able to do here. */
export interface LoadedVersion {
  pipelineVersion: string;
  contract: Contract;
  retire(): void;
}

export interface LoadedVersions<Loaded> {
  /** The version to answer with, or undefined before the first. */
  current(): Loaded | undefined;
  /** The version that runs rows of this contract; undefined where its last one is gone. */
  forContract(contract: Contract): Loaded | undefined;
  /** The contracts of the versions that are here. */
  contracts(): Contract[];
  /** Makes a version the current one, and returns the one before. */
  swap(next: Loaded): Loaded | undefined;
  close(): void;
}

/** Rows are run at the end of the turn in which they were read, or when the hooks of a plugin let them pass. */
const KEPT_MS = 5_000;

export function createLoadedVersions<Loaded extends LoadedVersion>(log: Pick<Log, 'warn'>): LoadedVersions<Loaded> {
  let current: Loaded | undefined;
  const leaving = new Map<Contract, { version: Loaded; timer: NodeJS.Timeout }>();

  function retire(version: Loaded): void {
    try {
      version.retire();
    } catch (err) {
      log.warn({ err }, 'the replaced pipeline could not be released');
    }
  }

  function retireLeaving(contract: Contract): void {
    const found = leaving.get(contract);
    if (!found) return;
    clearTimeout(found.timer);
    leaving.delete(contract);
    retire(found.version);
  }

  return {
    current: () => current,
    forContract: (contract) => (current?.contract === contract ? current : leaving.get(contract)?.version),
    contracts: () => [...(current ? [current.contract] : []), ...leaving.keys()],
    swap(next) {
      const previous = current;
      current = next;
      retireLeaving(next.contract);
      if (previous?.contract === next.contract) retire(previous);
      else if (previous) {
        const timer = setTimeout(() => retireLeaving(previous.contract), KEPT_MS).unref();
        leaving.set(previous.contract, { version: previous, timer });
      }
      return previous;
    },
    close() {
      for (const contract of [...leaving.keys()]) retireLeaving(contract);
      if (current) retire(current);
      current = undefined;
    },
  };
}
