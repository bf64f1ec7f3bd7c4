/**
 * Which hooks are this service's own. Fast answers (send-json.ts) skip the hooks of a reply: they have the effects of our
 * own hooks built in, but the headers and payloads of a plugin's hook have to reach the caller. Fastify documents no list
 * of a scope's hooks, so it is looked up by its symbol. When that is not found, for example after an upgrade, every answer
 * goes the plain way.
 */
import type { FastifyInstance } from 'fastify';

/** Hooks that run before a reply is sent and may set its headers or change its payload. */
const REPLY_HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'preSerialization', 'onSend'] as const;

/** The hooks of a scope or of a route's options: a list or a single one by each name. */
export type Hooks = Partial<Record<(typeof REPLY_HOOKS)[number], unknown>>;

const own = new WeakSet<object>();

/** Marks a hook whose effect on a 200 of the predict routes, if it has any, is built into send-json.ts. */
export function ownHook<Hook extends object>(hook: Hook): Hook {
  own.add(hook);
  return hook;
}

/** Whether a plugin's hook may change the answers of these routes of a scope. Call it once all hooks are registered. */
export function hasForeignHooks(scope: FastifyInstance, routes: readonly Hooks[]): boolean {
  const symbol = Object.getOwnPropertySymbols(scope).find(({ description }) => description === 'fastify.hooks');
  const ofScope = symbol && (scope as unknown as Record<symbol, Hooks>)[symbol];
  if (!ofScope) return true;
  return [ofScope, ...routes].some((hooks) =>
    REPLY_HOOKS.some((name) => [hooks[name] ?? []].flat().some((hook) => !own.has(hook as object))),
  );
}
