/** Loaded before the service: a relay that forgets a batch. Every third COPY goes nowhere and seems to have been done. */
import { Writable } from 'node:stream';
import pg from 'pg';

const { query } = pg.Client.prototype;
let batches = 0;

pg.Client.prototype.query = function forgetful(statement, ...rest) {
  if (/^copy predictions/.test(statement?.text ?? '') && ++batches % 3 === 0) {
    return new Writable({ write: (_bytes, _encoding, done) => done() });
  }
  return query.call(this, statement, ...rest);
};
