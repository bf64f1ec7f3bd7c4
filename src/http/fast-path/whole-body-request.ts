/**
 * A request whose body can be taken whole, past its stream, which is faster (decision 0005). Node's HTTP server makes its
 * requests of this class (the `IncomingMessage` option of http.createServer) and hands each piece of a body to `push`. A
 * request whose body is not taken is an ordinary stream.
 */
import { IncomingMessage } from 'node:http';
import { RidgelineError } from '../../errors.ts';

/** Called once, with the body or with the reason why there is none. */
export type TakeBody = (error: RidgelineError | null, body?: Buffer) => void;

export class WholeBodyRequest extends IncomingMessage {
  /** When the end of its head was read, on the clock of performance.now(). */
  readonly arrivedAt = performance.now();
  /** Called once the body is wanted, before it is waited for. */
  beforeBody: (() => void) | undefined;
  #isTaken = false;
  /** Set while the body is waited for. */
  #take: TakeBody | undefined;
  /** Why the body will never come, if that was known before it was asked for. */
  #refusal: RidgelineError | undefined;
  #limit = 0;
  #length = 0;
  #pieces: Buffer[] = [];
  /** How many bytes may still come of a body that is dropped. */
  #mayDrop = Number.POSITIVE_INFINITY;

  /**
   * Hands over a body of at most `limit` bytes as soon as its last byte is there. Bytes that went into the stream while a
   * hook waited are taken back out of it.
   */
  takeBody(limit: number, take: TakeBody): void {
    if (Number(this.headers['content-length']) > limit) {
      take(tooLarge(limit));
      return;
    }
    if (this.#refusal) {
      take(this.#refusal);
      return;
    }
    this.#isTaken = true;
    this.#take = take;
    this.#limit = limit;
    // Counts as reading: Node would drain the body of a request that nobody reads.
    this._read(0);
    if (this.readableLength > 0) this.push(this.read());
    if (this.complete) this.push(null);
  }

  /**
   * Ends the wait for the body with this error; returns false where nobody waits. Whoever asks for the body later, for
   * example after a slow hook, gets the error then.
   */
  refuse(error: RidgelineError): boolean {
    if (this.#take) {
      this.#settle(error);
      return true;
    }
    if (this.#isTaken) return false;
    if (this.listenerCount('error') > 0) return this.emit('error', error);
    this.#refusal = error;
    return false;
  }

  /** Drops the rest of a body that nobody takes. The connection is destroyed at more than `most` bytes. */
  dropRest(most: number): void {
    this.#isTaken = true;
    this.#mayDrop = most;
    this.beforeBody = undefined;
    this._read(0);
  }

  override _read(size: number): void {
    if (this.beforeBody) {
      const { beforeBody } = this;
      this.beforeBody = undefined;
      beforeBody();
    }
    const refusal = this.#refusal;
    if (refusal) process.nextTick(() => this.listenerCount('error') > 0 && this.emit('error', refusal));
    super._read(size);
  }

  override push(piece: Buffer | null): boolean {
    if (!this.#isTaken) return super.push(piece);
    if (!this.#take) return this.#drop(piece);
    if (piece === null) this.#settle(null, this.#body());
    else if (this.#length + piece.length > this.#limit) this.#settle(tooLarge(this.#limit));
    else this.#keep(piece);
    return true;
  }

  #keep(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#length += piece.length;
  }

  #drop(piece: Buffer | null): boolean {
    this.#mayDrop -= piece?.length ?? 0;
    if (this.#mayDrop < 0) this.socket.destroy();
    return true;
  }

  #body(): Buffer {
    return this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (this.#take || !this.complete) {
      const detail = 'The connection ended before the body did.';
      this.#refusal = new RidgelineError('invalid_request', { detail, cause: error ?? undefined });
      this.#settle(this.#refusal);
    }
    super._destroy(error, callback);
  }

  #settle(error: RidgelineError | null, body?: Buffer): void {
    const take = this.#take;
    this.#take = undefined;
    this.#pieces = [];
    take?.(error, body);
  }
}

function tooLarge(limit: number): RidgelineError {
  return new RidgelineError('body_too_large', { detail: String(limit) });
}
