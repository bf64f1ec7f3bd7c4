/** What whoever starts the service by hand sees: where it answers, and a request to try. */
import type { Config } from '../config.ts';
import type { Contract } from '../contract/contract.ts';
import { exampleRow } from '../contract/rows.ts';
import { describeUrl } from '../database/pool.ts';

export interface Welcome {
  url: string;
  /** Of the admin port, if there is one. */
  adminUrl: string | undefined;
  config: Config;
  /** What this process answers with, if it answers at all. */
  pipelineVersion: string | undefined;
  /** What a request has to be, as far as that is known. */
  contract: Contract | undefined;
}

export function welcome({ url, adminUrl, config, pipelineVersion, contract }: Welcome): string {
  return `
Ridgeline ${config.version} answers at ${url}
  pipeline  ${pipelineVersion ?? `see ${url}/health`}
  docs      ${config.docsPath ? `${url}${config.docsPath}/` : 'off'}
  metrics   ${adminUrl ?? url}/metrics
  database  ${config.databaseUrl ? describeUrl(config.databaseUrl) : `embedded PostgreSQL in ${config.dataDir}`}
${contract ? requestToTry(url, contract) : ''}`;
}

function requestToTry(url: string, contract: Contract): string {
  // In single quotes the shell changes nothing, but there is none within them.
  const body = JSON.stringify(exampleRow(contract)).replaceAll("'", '\\u0027');
  return `
  curl -s ${url}/predict -H 'content-type: application/json' -d '${body}'
`;
}
