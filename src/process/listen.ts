/** Where the service listens: opening the port, what to do when that fails, and how callers spell it. */
import { lookup } from 'node:dns/promises';
import { RidgelineError } from '../errors.ts';

export interface Where {
  host: string;
  port: number;
  /** Of the settings that say so. */
  prefix?: 'ADMIN_' | undefined;
}

/** Throws `cannot_listen` for what only another setting, or another program, can mend. */
export async function listen(
  http: { listen(where: Omit<Where, 'prefix'>): Promise<unknown>; addresses(): (string | { port: number })[] },
  { host, port, prefix }: Where,
): Promise<{ port: number }> {
  try {
    // Fastify would make a second server for the second address of this name, which nobody drains.
    const address = host === 'localhost' ? (await lookup(host)).address : host;
    await http.listen({ host: address, port });
  } catch (cause) {
    const detail = adviceFor(cause as NodeJS.ErrnoException, { host, port, prefix });
    throw detail ? new RidgelineError('cannot_listen', { detail, cause }) : cause;
  }
  return http.addresses()[0] as { port: number };
}

function adviceFor({ code, syscall }: NodeJS.ErrnoException, { host, port, prefix }: Where): string | undefined {
  const setting = (name: string) => `${prefix ?? ''}${name}`;
  if (code === 'EADDRINUSE') {
    return `Port ${port} on ${host} is in use. Stop the other program, or set ${setting('PORT')} (0: any).`;
  }
  if (code === 'EACCES') return `Port ${port} is not open to this user. Set ${setting('PORT')} to 1024 or more.`;
  if (code === 'EADDRNOTAVAIL' || syscall === 'getaddrinfo') {
    return `${setting('HOST')} is ${host}, which is no address of this machine. Set it to one, such as 127.0.0.1.`;
  }
  return undefined;
}

export function urlOf(host: string, port: number): string {
  // A wildcard address is for listening; callers need one to call.
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}
