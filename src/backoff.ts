/** Pauses between attempts: each is twice as long as the one before, up to a limit. */
export interface Backoff {
  /** Milliseconds until the next attempt. */
  next(): number;
  /** The pause after this is the first again. */
  reset(): void;
}

export interface BackoffOptions {
  firstMs: number;
  longestMs: number;
  /** The share by which a pause is longer or shorter at random, so that many servers do not return in the same instant. */
  jitter?: number;
}

export function createBackoff({ firstMs, longestMs, jitter = 0 }: BackoffOptions): Backoff {
  let pause = firstMs;
  return {
    next() {
      const now = pause * (1 + jitter * (2 * Math.random() - 1));
      pause = Math.min(pause * 2, longestMs);
      return now;
    },
    reset() {
      pause = firstMs;
    },
  };
}
