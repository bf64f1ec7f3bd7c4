/**
 * What all processes of a service know, whichever of them is asked. With WORKERS above 1 the primary asks every worker and
 * waits for the answers, a limited time:
 *
 *     the worker that is asked --ask--> primary --ask--> every worker --answer--> primary --gathered--> who asked
 *
 * A worker that does not answer in time is reported as silent. One question of a topic is under way at a time, so that
 * many who ask cost no more than one.
 */
import cluster, { type Worker } from 'node:cluster';
import type { Gathered } from '../health.ts';
import { within } from '../within.ts';

type Message =
  | { gather: 'ask'; topic: string }
  | { gather: 'answer'; topic: string; facts: unknown }
  | { gather: 'gathered'; topic: string; gathered: Gathered<unknown> };

/** Longer than a worker needs to find out that the database is silent. */
const ANSWER_MS = 1_500;
const PRIMARY_MS = 2 * ANSWER_MS;
/** A worker that has died, or starts, for longer than this is missing. */
const START_MS = 10_000;

/** Asks all processes of the service; this one answers for itself with `own`, also when another one asks. */
export function gatherFromAllWorkers<Facts>(topic: string, own: () => Promise<Facts>): () => Promise<Gathered<Facts>> {
  if (!cluster.isWorker) return async () => ({ facts: [await own()], silences: [] });
  let underWay: Promise<Gathered<Facts>> | undefined;
  let gathered: ((what: Gathered<Facts>) => void) | undefined;

  process.on('message', (message: Message) => {
    if (message.gather === undefined || message.topic !== topic) return;
    if (message.gather === 'ask') void own().then((facts) => tell({ gather: 'answer', topic, facts }));
    if (message.gather === 'gathered') gathered?.(message.gathered as Gathered<Facts>);
  });

  async function ask(): Promise<Gathered<Facts>> {
    const answer = new Promise<Gathered<Facts>>((resolve) => {
      gathered = resolve;
      tell({ gather: 'ask', topic });
    });
    const asked = await within<Gathered<Facts> | undefined>(PRIMARY_MS, answer, () => undefined);
    if (asked) return asked;
    return { facts: [await own()], silences: ['The primary process does not answer: restart the service.'] };
  }

  return () => {
    underWay ??= ask().finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}

/** Ignores a failed send: the channel of a process that is ending may be closed already. */
function tell(message: Message): void {
  if (process.connected) process.send!(message, undefined, undefined, () => undefined);
}

export interface GatherOptions<Facts> {
  /** How many workers there should be. */
  count: number;
  /** What the primary knows of itself. */
  own?: () => Promise<Facts>;
  /**
   * For facts that count: what stays true of a worker's last answer when it is gone, together with what stays true of those
   * before it. Then a worker that is silent is also taken by its last answer.
   */
  keep?: (last: Facts, kept: Facts | undefined) => Facts;
}

/** In the primary: asks its workers of a topic, and answers those that ask. */
export function gatherFromWorkers<Facts>(
  topic: string,
  { count, own, keep }: GatherOptions<Facts>,
): () => Promise<Gathered<Facts> | undefined> {
  /** Those that take callers: one that has yet to listen is asked nothing. */
  const listening = new Set<Worker>();
  const answered = new Set<Worker>();
  /** The newest answer of each worker that lives. */
  const answers = new Map<Worker, Facts>();
  let kept: Facts | undefined;
  let incompleteSince: number | undefined = performance.now();
  let underWay: Promise<void> | undefined;
  let complete: (() => void) | undefined;

  function noteMembers(): void {
    incompleteSince = listening.size >= count ? undefined : (incompleteSince ?? performance.now());
    noteAnswers();
  }

  function noteAnswers(): void {
    if ([...listening].every((worker) => answered.has(worker))) complete?.();
  }

  // What a dead worker has sent may be read after its exit.
  cluster.on('listening', (worker) => {
    if (worker.isDead()) return;
    listening.add(worker);
    noteMembers();
  });
  cluster.on('exit', (worker) => {
    const last = answers.get(worker);
    if (keep && last !== undefined) kept = keep(last, kept);
    for (const known of [listening, answered, answers]) known.delete(worker);
    noteMembers();
  });
  cluster.on('message', (worker, message: Message) => {
    if (message.gather === undefined || message.topic !== topic || worker.isDead()) return;
    if (message.gather === 'answer') {
      answered.add(worker);
      answers.set(worker, message.facts as Facts);
      noteAnswers();
    } else if (message.gather === 'ask') {
      void ask(worker).then((gathered) => {
        if (gathered && worker.isConnected()) worker.send({ gather: 'gathered', topic, gathered } satisfies Message);
      });
    }
  });

  async function ask(asking?: Worker): Promise<Gathered<Facts> | undefined> {
    underWay ??= askEach().finally(() => {
      underWay = undefined;
    });
    await underWay;
    return await gatheredFor(asking);
  }

  async function askEach(): Promise<void> {
    answered.clear();
    const all = new Promise<void>((resolve) => {
      complete = resolve;
    });
    for (const worker of listening) if (worker.isConnected()) worker.send({ gather: 'ask', topic } satisfies Message);
    noteAnswers();
    await within(ANSWER_MS, all, () => undefined);
  }

  /** Undefined when nobody has answered. */
  async function gatheredFor(asking?: Worker): Promise<Gathered<Facts> | undefined> {
    // First, as a worker may die meanwhile: then its counts go from `answers` to `kept`.
    const ofPrimary = own ? [await own()] : [];
    const workers = [...answers.keys()].filter((worker) => keep || answered.has(worker));
    workers.sort((a, b) => Number(b === asking) - Number(a === asking));
    const others = [...(kept === undefined ? [] : [kept]), ...ofPrimary];
    const [first, ...rest] = [...workers.map((worker) => answers.get(worker)!), ...others];
    return first === undefined ? undefined : { facts: [first, ...rest], silences: silences() };
  }

  function silences(): string[] {
    const silent = [...listening].filter((worker) => !answered.has(worker)).map((worker) => worker.process.pid);
    const isMissing = incompleteSince !== undefined && performance.now() - incompleteSince > START_MS;
    return [
      ...silent.map(
        (pid) => `The worker with process id ${pid} does not answer: it is held up. End it; another one starts.`,
      ),
      ...(isMissing
        ? [`Only ${listening.size} of ${count} workers run: the log says why the others end or do not start.`]
        : []),
    ];
  }

  return ask;
}
