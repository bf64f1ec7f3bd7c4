/**
 * A request whose body can be taken whole, past its stream. Node's HTTP server makes its requests of this class (the
 * `IncomingMessage` option of http.createServer) and hands each piece of a body to `push`. Read as a stream, a body
 * that has come in one packet with its head takes several turns of the tick queue, and more than a tenth of all that a
 * prediction costs. A request that nobody takes is the stream that it always was.
 */
import { IncomingMessage } from 'node:http';
import { RidgelineError } from '../errors.ts';

/** Called once, with the body or with the reason why there is none. */
export type TakeBody = (error: RidgelineError | null, body?: Buffer) => void;

export class WholeBodyRequest extends IncomingMessage {
  #isTaken = false;
  /** Until the body is there or cannot come any more. */
  #take: TakeBody | undefined;
  #limit = 0;
  #length = 0;
  #pieces: Buffer[] = [];

  /**
   * Hands over a body of at most `limit` bytes as soon as its last byte is there. To be called in the turn of the event
   * loop in which the server has made the request: later its first piece may have gone into the stream.
   */
  takeBody(limit: number, take: TakeBody): void {
    if (Number(this.headers['content-length']) > limit) {
      take(tooLarge(limit));
      return;
    }
    this.#isTaken = true;
    this.#take = take;
    this.#limit = limit;
    // Node drains the body of a request that nobody has begun to read; this is what it knows a reader by.
    this._read(0);
  }

  override push(piece: Buffer | null): boolean {
    if (!this.#isTaken) return super.push(piece);
    if (!this.#take) return true;
    if (piece === null) {
      this.#settle(null, this.#pieces.length === 1 ? this.#pieces[0] : Buffer.concat(this.#pieces));
      return true;
    }
    this.#length += piece.length;
    if (this.#length > this.#limit) this.#settle(tooLarge(this.#limit));
    else this.#pieces.push(piece);
    return true;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (this.#take) {
      const detail = 'The connection ended before the body did.';
      this.#settle(new RidgelineError('invalid_request', { detail, cause: error ?? undefined }));
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
