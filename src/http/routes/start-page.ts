/**
 * GET /: what this is and where to go on, for whoever opens the address in a browser or with curl. It loads nothing, runs
 * nothing, and its links are relative, so that they also work behind a proxy that strips a prefix.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';

export interface StartPageOptions {
  title: string;
  /** The service's own version. */
  version: string;
  links: StartPageLinks;
}

/** Where each is, from / on, or a whole URL; null where it is not to be had. */
export interface StartPageLinks {
  docs: string | null;
  health: string;
  metrics: string | null;
}

const DESCRIPTION = 'Predictions in real time from a trained tabular pipeline.';

const entries = [
  { name: 'docs', about: 'every route, with examples to try', otherwise: 'turned off' },
  { name: 'health', about: 'what works, what does not, and what to do', otherwise: '' },
  { name: 'metrics', about: 'for Prometheus', otherwise: 'for Prometheus, on the admin port' },
] as const satisfies { name: keyof StartPageLinks; about: string; otherwise: string }[];

const STYLE = `
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { max-width: 34rem; margin: 0 auto; padding: 3rem 1.25rem; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; }
h1 small { font-size: 1rem; font-weight: normal; opacity: 0.7; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.75rem 1.25rem; margin: 2rem 0 0; }
dd { margin: 0; }
`;

const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  // The empty icon of the page, without which browsers ask for /favicon.ico.
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export function registerStartPage(app: FastifyInstance, { title, version, links }: StartPageOptions): void {
  const json = { name: title, version, description: DESCRIPTION, links };
  const html = pageOf({ title, version, links });
  app.get('/', {
    // A page for people, like those of the docs.
    schema: { hide: true },
    handler: async ({ headers }, reply) => {
      reply.header('vary', 'accept');
      if (!/\btext\/html\b/i.test(headers.accept ?? '')) return reply.send(json);
      return reply
        .type('text/html; charset=utf-8')
        .headers({ 'content-security-policy': POLICY, 'x-content-type-options': 'nosniff' })
        .send(html);
    },
  });
}

function pageOf({ title, version, links }: StartPageOptions): string {
  const rows = entries.map(({ name, about, otherwise }) => {
    const href = links[name];
    return href === null
      ? `<dt>${name}</dt><dd>${otherwise}</dd>`
      : `<dt><a href="${href}">${name}</a></dt><dd>${about}</dd>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<h1>${title} <small>${version}</small></h1>
<p>${DESCRIPTION}</p>
<dl>
${rows.join('\n')}
</dl>
</body>
</html>
`;
}
