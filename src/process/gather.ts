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
  | { gather: 'join' | 'ask'; topic: string }
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
  tell({ gather: 'join', topic });

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

/** In the primary: asks its workers of a topic, and answers those that ask. */
export function gatherFromWorkers<Facts>(topic: string, count: number): () => Promise<Gathered<Facts> | undefined> {
  const joined = new Set<Worker>();
  const answers = new Map<Worker, Facts>();
  let incompleteSince: number | undefined = performance.now();
  let underWay: Promise<void> | undefined;
  let complete: (() => void) | undefined;

  function noteMembers(): void {
    incompleteSince = joined.size >= count ? undefined : (incompleteSince ?? performance.now());
    noteAnswers();
  }

  function noteAnswers(): void {
    if ([...joined].every((worker) => answers.has(worker))) complete?.();
  }

  cluster.on('exit', (worker) => {
    joined.delete(worker);
    noteMembers();
  });
  cluster.on('message', (worker, message: Message) => {
    if (message.gather === undefined || message.topic !== topic) return;
    if (message.gather === 'join') {
      joined.add(worker);
      noteMembers();
    } else if (message.gather === 'answer') {
      answers.set(worker, message.facts as Facts);
      noteAnswers();
    } else if (message.gather === 'ask') {
      void ask().then(() => {
        const gathered = gatheredFor(worker);
        if (gathered && worker.isConnected()) worker.send({ gather: 'gathered', topic, gathered } satisfies Message);
      });
    }
  });

  function ask(): Promise<void> {
    underWay ??= askEach().finally(() => {
      underWay = undefined;
    });
    return underWay;
  }

  async function askEach(): Promise<void> {
    answers.clear();
    const all = new Promise<void>((resolve) => {
      complete = resolve;
    });
    for (const worker of joined) if (worker.isConnected()) worker.send({ gather: 'ask', topic } satisfies Message);
    noteAnswers();
    await within(ANSWER_MS, all, () => undefined);
  }

  /** Undefined when no worker has answered. */
  function gatheredFor(asking?: Worker): Gathered<Facts> | undefined {
    const [first, ...others] = [...answers.keys()].sort((a, b) => Number(b === asking) - Number(a === asking));
    if (!first) return undefined;
    const facts: [Facts, ...Facts[]] = [answers.get(first)!, ...others.map((worker) => answers.get(worker)!)];
    return { facts, silences: silences() };
  }

  function silences(): string[] {
    const silent = [...joined].filter((worker) => !answers.has(worker)).map((worker) => worker.process.pid);
    const isMissing = incompleteSince !== undefined && performance.now() - incompleteSince > START_MS;
    return [
      ...silent.map(
        (pid) => `The worker with process id ${pid} does not answer: it is held up. End it; another one starts.`,
      ),
      ...(isMissing
        ? [`Only ${joined.size} of ${count} workers run: the log says why the others end or do not start.`]
        : []),
    ];
  }

  return async () => {
    await ask();
    return gatheredFor();
  };
}
