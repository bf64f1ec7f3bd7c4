/** Every request has an id: the caller's `x-request-id` when it is a plain token, else one made here. It is sent back. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export const REQUEST_ID_HEADER = 'x-request-id';

/** Tokens that are safe in a log line and in a header. */
const ACCEPTED = /^[\w.:-]{1,128}$/;

/** A generator whose ids are unique in this process and, by a random prefix, very likely among all. */
export function createRequestIds(): (request: Pick<IncomingMessage, 'headers'>) => string {
  const prefix = randomBytes(6).toString('hex');
  let count = 0;
  return ({ headers }) => {
    const given = headers[REQUEST_ID_HEADER];
    return typeof given === 'string' && ACCEPTED.test(given) ? given : `${prefix}-${(++count).toString(36)}`;
  };
}
