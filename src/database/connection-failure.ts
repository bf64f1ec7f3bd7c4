/**
 * Why the server cannot be used, and what to do about it. What heals by itself is an outage, and the service starts with
 * what is in models/; what stays until somebody changes a setting, a right or a certificate stops the start.
 */
import { RidgelineError, reasonOf } from '../errors.ts';
import { describeUrl } from './pool.ts';

/** What to tell of a failed attempt to use the server: `database_unreachable` when it may be there later. */
export function connectionFailure(url: string, cause: unknown): RidgelineError {
  if (cause instanceof RidgelineError) return cause;
  const isAway = isUnavailable(cause);
  const advice = isAway ? adviceWhileAway(cause) : adviceFor(cause);
  return new RidgelineError(isAway ? 'database_unreachable' : 'database_setup', {
    detail: `PostgreSQL at ${describeUrl(url)}: ${reasonOf(cause)}. ${advice}`,
    cause,
  });
}

/** What the system says of names, routes and peers that may be there later; Node's own codes begin with ERR_. */
const NETWORK = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ENOTCONN', 'EADDRNOTAVAIL'],
  ...['EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN', 'ENETRESET', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'],
  ...['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_MEMORY', 'EAI_SYSTEM'],
  // The socket's file, which a server makes when it starts.
  'ENOENT',
]);

/**
 * Class 08 (connection), 40 (rolled back), 53 (resources), 57 (shutdown), 58 (its disk), a lock not had in time, and
 * read only, as a standby is. https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const TEMPORARY_SQLSTATE = /^(08|40|53|57|58)...$|^55P03$|^25006$/;

/** PgBouncer says 08P01, a violation of the protocol, of nearly everything; some of it passes. */
const PASSING_08P01 =
  /server_login_retry|connect failed|cannot connect|query_wait_timeout|login_timeout|paused|shutting down|no more connections|suspend/;

/** Whether an error says that the database cannot be reached now, rather than that something has to be changed. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isUnavailable);
  const { code, message = '' } = (error ?? {}) as { code?: string; message?: string };
  if (code === undefined) return /timeout|terminated|not queryable/i.test(message);
  if (code === '08P01') return PASSING_08P01.test(message);
  return NETWORK.has(code) || TEMPORARY_SQLSTATE.test(code);
}

/** Advice by the code, for what passes by itself but can be ended sooner. */
const ADVICE_WHILE_AWAY: Record<string, string> = {
  '25006':
    'It takes no changes, as a standby does not: name the server that does in DATABASE_URL, or turn ' +
    'default_transaction_read_only off.',
  '53100': 'Free space on the disk of the server.',
  '53300': 'Raise max_connections of the server, or end connections of others.',
  '57P03': 'It is starting or stopping: wait.',
  ENOTFOUND: 'Correct the host in DATABASE_URL, or let this machine find it.',
  EAI_AGAIN: 'Let this machine find the names of others (DNS), or write an address in DATABASE_URL.',
  EMFILE: 'Allow more open files (ulimit -n).',
};

function adviceWhileAway(error: unknown): string {
  return ADVICE_WHILE_AWAY[(error as { code?: string }).code ?? ''] ?? 'Start it, or correct DATABASE_URL.';
}

const NO_CHECK = 'or give up the check with sslmode=no-verify';
const UNKNOWN_AUTHORITY =
  'Its certificate is not signed by an authority that is known here: name the file of its authority in ' +
  `DATABASE_URL, ?sslmode=verify-full&sslrootcert=FILE, ${NO_CHECK}.`;

/** Advice by the code of an error, or of its class. */
const ADVICE: Record<string, string> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  CERT_UNTRUSTED: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: `Renew the server's certificate (is the clock of this machine right?), ${NO_CHECK}.`,
  CERT_NOT_YET_VALID: `Set the clock of this machine right, renew the server's certificate, ${NO_CHECK}.`,
  ERR_TLS_CERT_ALTNAME_INVALID:
    'Write a host in DATABASE_URL that the certificate names, or give up the check of the name with ' +
    'uselibpqcompat=true&sslmode=verify-ca&sslrootcert=FILE.',
  '28P01':
    'Correct the user name and password in DATABASE_URL; in them # is written %23, / is %2F, ? is %3F, @ is %40, % is %25.',
  '28000': 'Let pg_hba.conf of the server admit this user from here, or correct DATABASE_URL.',
  '3D000': 'Create that database, or correct its name, the last part of the path of DATABASE_URL.',
  '3F000': 'Create the first schema of the search_path of this user, or grant it to the user.',
  '42501':
    'Grant it: the user has to connect to the database and to create in its schema (grant usage, create on schema).',
  '42704': 'Correct `options` in DATABASE_URL.',
  EACCES: 'Let the user that runs this enter the directory of the socket, or correct DATABASE_URL.',
};

function adviceFor(error: unknown): string {
  const { code = '', message = '' } = (error ?? {}) as { code?: string; message?: string };
  if (/startup parameter/.test(message)) {
    return 'Add it to ignore_startup_parameters of PgBouncer, or connect to PostgreSQL itself.';
  }
  if (/does not support SSL/.test(message)) return 'Turn TLS on there, or write sslmode=disable in DATABASE_URL.';
  if (/no encryption|SSL off/.test(message)) {
    return 'It asks for TLS: add ?sslmode=verify-full to DATABASE_URL, with sslrootcert=FILE for an authority of your own.';
  }
  if (/password must be a string/.test(message)) return 'It asks for a password: write one into DATABASE_URL.';
  if (ADVICE[code]) return ADVICE[code];
  // An alert comes from the server: it does not accept our certificate.
  if (/ALERT.*(CERT|UNKNOWN_CA|HANDSHAKE)/.test(code)) {
    return 'Name a certificate that the server takes with sslcert=FILE&sslkey=FILE in DATABASE_URL.';
  }
  if (/^ERR_(SSL|TLS|OSSL)|^EPROTO$/.test(code) || /establishing an SSL connection/.test(message)) {
    return 'TLS cannot be agreed on: check host and port in DATABASE_URL, its sslcert and sslkey, and the TLS of the server.';
  }
  if (/CERT|CRL|_CA$|PURPOSE|PATH_LENGTH|HOSTNAME/.test(code)) return `Replace the server's certificate, ${NO_CHECK}.`;
  return 'Mend it, or correct DATABASE_URL.';
}
