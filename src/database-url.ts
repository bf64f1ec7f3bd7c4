/** What DATABASE_URL may look like. `pg`'s own parser reads it, so that both understand the same. */
import { parse } from 'pg-connection-string';
import { nearestName } from './nearest-name.ts';

const FORM = 'a postgres:// URL, or unset for an embedded PostgreSQL';

/**
 * A password with one of these characters in it makes a URL of another host or database: a part of the password would be
 * looked up as a name and written to the log. So whatever could be one is refused, with the way to write it.
 */
const ENCODED =
  'a postgres:// URL such as postgres://user:password@host:5432/database. In a user name or password ' +
  '# is written %23, / is %2F, ? is %3F, @ is %40 and % is %25; in .env a value with # stands in quotes';

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

/** Parameters of a URL in which an @ is not the end of a password that began before the question mark. */
const MAY_HOLD_AT = /^(user|password|application_name|fallback_application_name|options)=/;

/** The query parameters that `pg` reads. Any other has no effect, even if libpq or another driver knows it. */
const PARAMETERS = [
  ...['host', 'port', 'user', 'password', 'options', 'application_name', 'fallback_application_name'],
  ...['ssl', 'sslmode', 'sslcert', 'sslkey', 'sslrootcert', 'sslnegotiation', 'uselibpqcompat'],
  ...['client_encoding', 'replication', 'statement_timeout', 'lock_timeout'],
  ...['idle_in_transaction_session_timeout', 'query_timeout'],
];

const IN_PATH = 'the database as the path of the URL, postgres://user:password@host:5432/database, not as a parameter';
const IN_OPTIONS = 'the schema as options=-c%20search_path%3DSCHEMA, not as a parameter of its own';
/** Where other drivers are told the place of the data: ignored, the rows would be written to another place. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  ...{ dbname: IN_PATH, database: IN_PATH, db: IN_PATH },
  ...{ schema: IN_OPTIONS, currentschema: IN_OPTIONS, search_path: IN_OPTIONS },
};

/** What was expected in place of this text, or undefined when it is a URL that can work. It never repeats the text. */
export function problemOfDatabaseUrl(text: string): string | undefined {
  if (!/^(postgres(ql)?:\/\/|socket:)/i.test(text)) return FORM;
  // The reader of URLs takes tabs and line ends out, of a password too.
  if (/\p{Cc}/u.test(text)) return 'a postgres:// URL in one line, without tabs';
  const [beforeQuery, ...query] = text.split('?');
  const path = /^\w+:(?:\/\/[^/]*)?(.*)$/s.exec(beforeQuery!)?.[1] ?? '';
  const strayAt = query
    .join('?')
    .split('&')
    .some((parameter) => parameter.includes('@') && !MAY_HOLD_AT.test(parameter));
  if (text.includes('#') || !path.startsWith('/') || path.includes('@') || strayAt) return ENCODED;
  return problemOfNames(text) ?? problemOfValues(text);
}

/** The names of the query's parameters in their order, including those given twice. */
function parameterNames(text: string): string[] {
  return [...new URLSearchParams(text.split('?').slice(1).join('?')).keys()];
}

const mayBe = (text: string, name: string) =>
  PARAMETERS.includes(name) || (/^socket:/i.test(text) && ['db', 'encoding'].includes(name));

function problemOfNames(text: string): string | undefined {
  const names = parameterNames(text);
  const twice = names.find((name, i) => PARAMETERS.includes(name) && names.indexOf(name) !== i);
  if (twice) return `the parameter ${twice} once`;
  for (const name of names.filter((one) => !mayBe(text, one))) {
    const other = name.toLowerCase();
    if (Object.hasOwn(OTHER_NAMES, other)) return OTHER_NAMES[other];
    const meant = nearestName(other, PARAMETERS);
    if (meant) return `the parameter ${meant} to be written so`;
  }
  return undefined;
}

function problemOfValues(text: string): string | undefined {
  try {
    const { host, port, sslmode, sslnegotiation = 'postgres' } = parse(normaliseDatabaseUrl(text));
    if (host?.includes(',')) return 'a postgres:// URL with one host: name the one that can be written';
    if (port && !(Number(port) >= 1 && Number(port) <= 65_535)) return 'a port from 1 to 65535';
    if (sslmode !== undefined && !SSL_MODES.includes(String(sslmode))) return `sslmode to be ${SSL_MODES.join(', ')}`;
    if (!['postgres', 'direct'].includes(sslnegotiation)) return 'sslnegotiation to be postgres or direct';
    return undefined;
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    // It reads the files that sslrootcert, sslcert and sslkey name.
    if (syscall !== undefined) return `certificate files that can be read: ${message}`;
    return code === undefined && message.includes('sslmode') ? 'sslrootcert=FILE beside sslmode=verify-ca' : ENCODED;
  }
}

/** What libpq and other drivers read besides. */
const UNREAD = [
  ...['channel_binding', 'connect_timeout', 'gssencmode', 'hostaddr', 'keepalives', 'keepalives_idle', 'krbsrvname'],
  ...['load_balance_hosts', 'passfile', 'requirepeer', 'service', 'sslcrl', 'sslpassword', 'target_session_attrs'],
  ...['tcp_user_timeout', 'connection_limit', 'pgbouncer', 'pool_timeout', 'prepareThreshold'],
];

/**
 * Parameters that change nothing here. One that nobody knows is not named: it may be what stands behind a raw & in a
 * password.
 */
export function unreadParameters(text: string): string[] {
  const names = parameterNames(text).filter((name) => !mayBe(text, name));
  const known = names.filter((name) => UNREAD.includes(name));
  return known.length === names.length ? known : [...known, 'one whose name is not known'];
}

/**
 * The same URL in words that mean one thing. `prefer`, `require` and `verify-ca` are as strict as `verify-full` here; `pg`
 * takes them so too, but prints ten lines about it. A percent sign that begins no escape stands for itself, and so does a
 * plus in a name or password.
 */
export function normaliseDatabaseUrl(text: string): string {
  const escaped = text
    .replace(/%(?![0-9a-f]{2})/gi, '%25')
    .replaceAll(' ', '%20')
    .replace(/[?&](user|password)=[^&]*/g, (parameter) => parameter.replaceAll('+', '%2B'));
  if (/[?&]uselibpqcompat=true(&|$)/.test(escaped)) return escaped;
  return escaped
    .replace(/([?&])sslrootcert=system(?=&|$)/g, '$1sslmode=verify-full')
    .replace(/([?&]sslmode=)(allow|prefer|require|verify-ca)(?=&|$)/g, '$1verify-full');
}
