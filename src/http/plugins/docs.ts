/** OpenAPI 3.1 and Swagger UI, made from the routes' schemas. Not registered at all where docs are off. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';

/**
 * Swagger UI styles elements inline and cannot do without. The plugin's own policy forbids that, and asks browsers to turn
 * to HTTPS, which a service on a colleague's machine does not speak.
 */
const CONTENT_SECURITY_POLICY = {
  'default-src': "'self'",
  'style-src': "'self' 'unsafe-inline'",
  'img-src': "'self' data:",
  'object-src': "'none'",
  'base-uri': "'none'",
  'frame-ancestors': "'none'",
};

export async function registerDocs(app: FastifyInstance, { path, version }: { path: string; version: string }) {
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
  });
  await app.register(swaggerUi, { routePrefix: path, staticCSP: CONTENT_SECURITY_POLICY });
}
