/**
 * Lines for standard output or error. The process never waits for it, be it a file on a full disk, a pipe that nobody
 * reads or whose reader has gone, or a terminal that is held. A line is written at once where the kernel can say "not
 * now", else (regular files) by the thread pool, which `kill -9` may interrupt. What cannot be written waits; beyond a
 * bound new lines are dropped and counted, and the number is logged when there is room again. A line that has been begun
 * is completed before the next. Processes that share the output do not mix their lines, as a pipe takes up to 4 KiB
 * (PIPE_BUF) whole or not at all.
 */
import { constants, fstatSync, openSync, write, writeSync } from 'node:fs';

export interface LineSink {
  /** Takes a whole line, or several that belong together, with the end. */
  write(line: string): void;
  /** Waits, though not for long, until what is queued has been taken: for the last lines of a process. */
  flushSync(): void;
  /** How many lines have been left out. */
  dropped(): number;
}

/** Characters of lines that wait: some thousand lines. */
const WAITING_LENGTH = 1024 * 1024;
const PIPE_BUF = 4096;
/** Written at once to a file. */
const FILE_CHUNK = 64 * 1024;
/** Until a slow reader is tried again, and one that has gone or a disk that is full. */
const SLOW_MS = 20;
const FAILING_MS = 500;
/** At the exit: how long a reader may take nothing, and how long all of it may last. */
const STALLED_MS = 100;
const FLUSH_MS = 1_000;

/** `tellDropped` makes the line that tells of so many lines left out, with its end. */
export function createLineSink(fd: 1 | 2, tellDropped: (count: number) => string = () => ''): LineSink {
  const { descriptor, blocks, unblock } = openForWriting(fd);
  const chunkLength = blocks ? FILE_CHUNK : PIPE_BUF;
  const waiting: string[] = [];
  let waitingSize = 0;
  /** What has been taken from the queue; `begun` bytes of it are written. */
  let chunk = Buffer.alloc(0);
  let begun = 0;
  let droppedCount = 0;
  let untold = 0;
  let timer: NodeJS.Timeout | undefined;
  let underWay = false;

  function takeChunk(): boolean {
    if (begun < chunk.length) return true;
    if (waiting.length === 0 && untold > 0) {
      waiting.push(tellDropped(untold));
      untold = 0;
    }
    if (waiting.length === 0) return false;
    let size = 0;
    let count = 0;
    while (count < waiting.length && (count === 0 || size + waiting[count]!.length <= chunkLength)) {
      size += waiting[count++]!.length;
    }
    chunk = Buffer.from(waiting.splice(0, count).join(''));
    begun = 0;
    waitingSize -= size;
    return true;
  }

  function pump(): void {
    if (timer || underWay) return;
    if (blocks) pumpByPool();
    else pumpAtOnce();
  }

  function pumpAtOnce(): void {
    try {
      unblock();
      while (takeChunk()) begun += writeSync(descriptor, chunk, begun);
    } catch (error) {
      later(error);
    }
  }

  function pumpByPool(): void {
    if (!takeChunk()) return;
    underWay = true;
    write(descriptor, chunk, begun, chunk.length - begun, null, (error, bytes) => {
      underWay = false;
      if (error) {
        later(error);
        return;
      }
      begun += bytes;
      pump();
    });
  }

  function later(error: unknown): void {
    const again = () => {
      timer = undefined;
      pump();
    };
    timer = setTimeout(again, isSlow(error) ? SLOW_MS : FAILING_MS).unref();
  }

  function flushSync(): void {
    // The thread pool has some of it, and goes on by itself.
    if (underWay) return;
    const startedAt = performance.now();
    for (let movedAt = startedAt; takeChunk(); ) {
      try {
        unblock();
        begun += writeSync(descriptor, chunk, begun);
        movedAt = performance.now();
      } catch (error) {
        const now = performance.now();
        if (!isSlow(error) || now - movedAt > STALLED_MS || now - startedAt > FLUSH_MS) return;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
  }

  process.on('exit', () => {
    // The thread pool finishes its write before the process ends, but the rest would not follow.
    if (underWay) begun = chunk.length;
    underWay = false;
    flushSync();
  });
  return {
    write(line) {
      if (waitingSize + line.length > WAITING_LENGTH) {
        droppedCount++;
        untold++;
        return;
      }
      waiting.push(line);
      waitingSize += line.length;
      pump();
    },
    flushSync,
    dropped: () => droppedCount,
  };
}

function isSlow(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EAGAIN';
}

/**
 * The descriptor again, in a way that does not wait: a new opening of the same pipe or terminal has flags of its own,
 * and leaves those of the processes that share the old one alone. A regular file is never opened again, as its readers
 * and other writers rely on the position and the flags that it was opened with.
 */
function openForWriting(fd: 1 | 2): { descriptor: number; blocks: boolean; unblock: () => void } {
  const unblock = () => undefined;
  try {
    if (fstatSync(fd).isFile()) return { descriptor: fd, blocks: true, unblock };
    const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    return { descriptor: openSync(`/proc/self/fd/${fd}`, flags), blocks: false, unblock };
  } catch {
    return { descriptor: fd, blocks: false, unblock: unblocking(fd === 1 ? process.stdout : process.stderr) };
  }
}

/**
 * For a socket, such as that of systemd's journal, a pipe of another account, or another system: the descriptor itself is
 * made non-blocking by Node's stream, and again before each write, as others who share it may undo that. Node does, when it
 * starts a child that inherits it and when that ends.
 */
function unblocking(stream: NodeJS.WriteStream): () => void {
  stream.on('error', () => undefined);
  const { _handle: handle } = stream as { _handle?: { setBlocking?(wait: boolean): void } };
  return () => handle?.setBlocking?.(false);
}
