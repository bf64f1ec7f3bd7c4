/** Loaded before the service: while the file named by NAMES_GONE exists, no host name can be resolved. */
import dns from 'node:dns';
import { existsSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { lookup } = dns;

dns.lookup = (hostname, options, callback) => {
  const done = typeof options === 'function' ? options : callback;
  if (!existsSync(process.env.NAMES_GONE)) return lookup(hostname, options, callback);
  const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND', hostname });
  process.nextTick(done, error);
  return {};
};
syncBuiltinESMExports();
