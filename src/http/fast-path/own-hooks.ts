/**
 * Which hooks are this service's own. The fast way of an answer (send-json.ts) skips what hooks do to a reply; of ours it
 * does the same itself, any other is a plugin's, whose headers and payloads have to reach the caller. Fastify has no
 * documented list of the hooks of a route, so theirs is looked up by its symbol: where it is not found, as it may be after
 * an upgrade, every answer goes the plain way.
 */
import type { FastifyInstance } from 'fastify';

/** Those that come before a reply is sent, and may set its headers, and those that may change what is sent. */
const REPLY_HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'preSerialization', 'onSend'] as const;

/** What a scope has, or what a route is registered with: lists of hooks, or one. */
export type Hooks = Partial<Record<(typeof REPLY_HOOKS)[number], unknown>>;

const own = new WeakSet<object>();

/** Marks a hook that does nothing to a 200 of the predict routes that send-json.ts does not do as well. */
export function ownHook<Hook extends object>(hook: Hook): Hook {
  own.add(hook);
  return hook;
}

/** Whether any hook of a plugin may have a say in the answers of these routes of a scope. To be asked once all are there. */
export function hasForeignHooks(scope: FastifyInstance, routes: readonly Hooks[]): boolean {
  const symbol = Object.getOwnPropertySymbols(scope).find(({ description }) => description === 'fastify.hooks');
  const ofScope = symbol && (scope as unknown as Record<symbol, Hooks>)[symbol];
  if (!ofScope) return true;
  return [ofScope, ...routes].some((hooks) =>
    REPLY_HOOKS.some((name) => [hooks[name] ?? []].flat().some((hook) => !own.has(hook as object))),
  );
}
