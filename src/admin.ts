/** The admin port: a listener for operators. It opens no database, and is closed after the public one. */
import type { Config } from './config.ts';
import { type AdminRoutesConfig, type Operations, registerAdminRoutes } from './http/admin.ts';
import { registerAnswers } from './http/plugins/answers.ts';
import { registerDrain } from './http/plugins/drain.ts';
import { registerHealthRoutes } from './http/routes/health.ts';
import { registerStartPage } from './http/routes/start-page.ts';
import { createHttp, type HttpOptions } from './http/server.ts';
import { listen } from './process/listen.ts';

export interface AdminOptions {
  config: Pick<Config, 'adminHost' | 'adminPort' | 'adminDocsPath' | 'version' | 'bodyLimitBytes'> & AdminRoutesConfig;
  operations: Operations;
  log: HttpOptions['log'];
}

export interface Admin {
  port: number;
  close(withinMs: number): Promise<void>;
}

/** Operators send short texts, and labels where they are theirs to send. */
const SHORT_TEXT_BYTES = 65_536;
/** Nobody waits for the admin port longer at a stop. */
const UNFINISHED_MS = 500;
const TITLE = 'Ridgeline admin port';

/** Listens; throws `cannot_listen`. */
export async function openAdmin({ config, operations, log }: AdminOptions): Promise<Admin> {
  const ofLabels = config.groundTruth === 'admin' ? config.bodyLimitBytes : 0;
  const http = createHttp({ bodyLimitBytes: Math.max(SHORT_TEXT_BYTES, ofLabels), log });
  const drain = registerDrain(http);
  registerAnswers(http, drain);
  if (config.adminDocsPath) {
    const { registerDocs } = await import('./http/plugins/docs.ts');
    const { adminDocsPath: path, version } = config;
    await registerDocs(http, { title: TITLE, path, version, contract: () => undefined });
  }
  registerHealthRoutes(http, { form: 'whole', exposeModelVersion: true, ...operations });
  registerAdminRoutes(http, operations, config);
  const docs = config.adminDocsPath ? `${config.adminDocsPath.slice(1)}/` : null;
  const links = { docs, health: 'health', metrics: 'metrics' };
  registerStartPage(http, { title: TITLE, version: config.version, links });
  const { port } = await listen(http, { host: config.adminHost, port: config.adminPort!, prefix: 'ADMIN_' });
  return {
    port,
    async close(withinMs) {
      await drain.finish(Math.min(UNFINISHED_MS, withinMs));
      await http.close();
    },
  };
}
