/** What whoever starts the service by hand sees: where it answers, and a request to try. */
import type { Config } from '../config.ts';
import { exampleRow } from '../contract/rows.ts';
import { describeUrl } from '../database/pool.ts';
import { housing } from '../housing/features.ts';

export function welcome(url: string, config: Config, pipelineVersion: string | undefined): string {
  const body = JSON.stringify(exampleRow(housing));
  return `
Ridgeline ${config.version} answers at ${url}
  pipeline  ${pipelineVersion ?? `see ${url}/health`}
  docs      ${config.docsPath ? `${url}${config.docsPath}/` : 'off'}
  database  ${config.databaseUrl ? describeUrl(config.databaseUrl) : `embedded PostgreSQL in ${config.dataDir}`}

  curl -s ${url}/predict -H 'content-type: application/json' -d '${body}'
`;
}
