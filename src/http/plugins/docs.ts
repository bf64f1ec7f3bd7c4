/**
 * OpenAPI 3.1 and Swagger UI, made from the routes' schemas. What goes in and out of some follows from the served contract, so
 * there is a document for each contract. Not registered at all where docs are off.
 */
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import type { Contract } from '../../contract/contract.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the schema of a route has besides, under a contract. */
    schemaUnder?: (contract: Contract) => FastifySchema;
  }
}

/**
 * Swagger UI needs inline styles. The plugin's own policy forbids them, and makes browsers turn to HTTPS, which a service on
 * a colleague's machine does not speak.
 */
const CONTENT_SECURITY_POLICY = {
  'default-src': "'self'",
  'style-src': "'self' 'unsafe-inline'",
  'img-src': "'self' data:",
  'object-src': "'none'",
  'base-uri': "'none'",
  'frame-ancestors': "'none'",
};

export interface DocsOptions {
  title: string;
  path: string;
  /** The service's own version. */
  version: string;
  /** What the document is to show now; undefined on a port without a route that depends on it. */
  contract: () => Contract | undefined;
}

/** Documents the routes that are registered after it. */
export async function registerDocs(app: FastifyInstance, options: DocsOptions): Promise<void> {
  const { title, path, contract } = options;
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => {
    if (route.method !== 'HEAD' && !route.schema?.hide) routes.push(route);
  });
  let shown: { contract: Contract | undefined; document: object } | undefined;

  async function showCurrent(): Promise<void> {
    const current = contract();
    if (!shown || shown.contract !== current) {
      shown = { contract: current, document: await documentOf(routes, current, options) };
    }
  }

  // Swagger UI needs the plugin. It keeps the first document that it has made for ever, so it makes none here.
  await app.register(swagger, {
    mode: 'static',
    specification: { document: { openapi: OPENAPI, info: { title, version: options.version }, paths: {} } },
  });
  const page = path.slice(path.lastIndexOf('/') + 1);
  await app.register(swaggerUi, {
    routePrefix: path,
    staticCSP: CONTENT_SECURITY_POLICY,
    transformSpecification: () => shown!.document,
    transformSpecificationClone: false,
    uiHooks: {
      onRequest(request, reply, done) {
        const [asked, query] = request.url.split('?', 2);
        if (asked === path) reply.redirect(`${page}/`);
        else if (asked === `${path}/static/index.html`) reply.redirect('../');
        // Without the `/` at the end the relative links of the page would lead elsewhere.
        else if (asked === `${path}/` && query !== undefined) reply.redirect('./');
        else done();
      },
      preHandler: (_request, _reply, done) => void showCurrent().then(() => done(), done),
    },
  });
}

const OPENAPI = '3.1.0';

/** The document of the routes under a contract, made by a server that has them and never listens. */
async function documentOf(
  routes: readonly RouteOptions[],
  contract: Contract | undefined,
  options: DocsOptions,
): Promise<object> {
  const documented = Fastify({ exposeHeadRoutes: false });
  documented.setValidatorCompiler(() => () => true);
  documented.setSerializerCompiler(() => JSON.stringify);
  await documented.register(swagger, openApiOptions(contract, options));
  for (const { method, url, schema, config } of routes) {
    const under = contract && config?.schemaUnder?.(contract);
    documented.route({ method, url, schema: { ...schema, ...under }, handler: () => undefined });
  }
  await documented.ready();
  const document = documented.swagger();
  await documented.close();
  return document;
}

/**
 * Every link is relative, so that the page and its "Try it out" also work behind a proxy that strips a prefix. Links of the
 * page are relative to its URL, which for that ends with a `/`; the document's server is relative to the document.
 */
function openApiOptions(
  contract: Contract | undefined,
  { title, path, version }: DocsOptions,
): FastifyDynamicSwaggerOptions {
  const ofContract = contract?.declaration.description ?? [];
  const description = ['Real-time predictions from a trained tabular pipeline.', ofContract].flat();
  return {
    openapi: { openapi: OPENAPI, info: { title, description: description.join('\n\n'), version } },
    transform: jsonSchemaTransform,
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject;
      // From /docs/json to /. The plugin itself does not take a relative one.
      const root = '../'.repeat(path.split('/').length - 1);
      return { ...document.openapiObject, servers: [{ url: root, description: 'Where this document is from' }] };
    },
  };
}
