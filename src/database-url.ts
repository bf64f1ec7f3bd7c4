/** What DATABASE_URL may look like. It is read by what `pg` itself reads it with, so that nothing is one thing here and another there. */
import { parse } from 'pg-connection-string';

const FORM = 'a postgres:// URL, or unset for an embedded PostgreSQL';

/**
 * A password with one of these characters in it is a URL too, of another host or database: a part of the password would
 * be looked up as a name and written to the log. So whatever could be one is refused, with the way to write it.
 */
const ENCODED =
  'a postgres:// URL such as postgres://user:password@host:5432/database. In a user name or password ' +
  '# is written %23, / is %2F, ? is %3F, @ is %40 and % is %25; in .env a value with # stands in quotes';

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

/** Parameters of a URL in which an @ is not the end of a password that began before the question mark. */
const MAY_HOLD_AT = /^(user|password|application_name|fallback_application_name|options)=/;

/** What was expected in place of this text, or undefined when it is a URL that can work. It never repeats the text. */
export function problemOfDatabaseUrl(text: string): string | undefined {
  if (!/^(postgres(ql)?:\/\/|socket:)/i.test(text)) return FORM;
  const [beforeQuery, ...query] = text.split('?');
  const path = /^\w+:(?:\/\/[^/]*)?(.*)$/s.exec(beforeQuery!)?.[1] ?? '';
  const strayAt = query
    .join('?')
    .split('&')
    .some((parameter) => parameter.includes('@') && !MAY_HOLD_AT.test(parameter));
  if (text.includes('#') || !path.startsWith('/') || path.includes('@') || strayAt) return ENCODED;
  try {
    const { host, sslmode, sslnegotiation = 'postgres' } = parse(normaliseDatabaseUrl(text));
    if (host?.includes(',')) return 'a postgres:// URL with one host: name the one that can be written';
    if (sslmode !== undefined && !SSL_MODES.includes(String(sslmode))) return `sslmode to be ${SSL_MODES.join(', ')}`;
    if (!['postgres', 'direct'].includes(sslnegotiation)) return 'sslnegotiation to be postgres or direct';
    return undefined;
  } catch (error) {
    const { code, path, message } = error as NodeJS.ErrnoException;
    // It reads the files that sslrootcert, sslcert and sslkey name.
    if (path !== undefined) return `certificate files that can be read: ${message}`;
    return code === undefined && message.includes('sslmode') ? 'sslrootcert=FILE beside sslmode=verify-ca' : ENCODED;
  }
}

/**
 * The same URL in words that mean one thing. `prefer`, `require` and `verify-ca` are as strict as `verify-full` here; `pg`
 * takes them so too, but prints ten lines about it. A percent sign that begins no escape stands for itself.
 */
export function normaliseDatabaseUrl(text: string): string {
  const escaped = text.replace(/%(?![0-9a-f]{2})/gi, '%25').replaceAll(' ', '%20');
  if (/[?&]uselibpqcompat=true(&|$)/.test(escaped)) return escaped;
  return escaped
    .replace(/([?&])sslrootcert=system(?=&|$)/g, '$1sslmode=verify-full')
    .replace(/([?&]sslmode=)(allow|prefer|require|verify-ca)(?=&|$)/g, '$1verify-full');
}
