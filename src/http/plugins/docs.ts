/** OpenAPI 3.1 and Swagger UI, made from the routes' schemas. Not registered at all where docs are off. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';

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
  path: string;
  /** The service's own version. */
  version: string;
}

/**
 * Every link is relative, so that the page and its "Try it out" also work behind a proxy that strips a prefix. Links of the
 * page are relative to its URL, which for that ends with a `/`; the document's server is relative to the document.
 */
export async function registerDocs(app: FastifyInstance, { path, version }: DocsOptions): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ridgeline',
        description: 'Real-time predictions from a trained tabular pipeline.',
        version,
      },
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject;
      // From /docs/json to /. The plugin itself does not take a relative one.
      const root = '../'.repeat(path.split('/').length - 1);
      return { ...document.openapiObject, servers: [{ url: root, description: 'Where this document is from' }] };
    },
  });
  const page = path.slice(path.lastIndexOf('/') + 1);
  await app.register(swaggerUi, {
    routePrefix: path,
    staticCSP: CONTENT_SECURITY_POLICY,
    uiHooks: {
      onRequest(request, reply, done) {
        const [asked, query] = request.url.split('?', 2);
        if (asked === path) reply.redirect(`${page}/`);
        else if (asked === `${path}/static/index.html`) reply.redirect('../');
        // Without the `/` at the end the relative links of the page would lead elsewhere.
        else if (asked === `${path}/` && query !== undefined) reply.redirect('./');
        else done();
      },
    },
  });
}
