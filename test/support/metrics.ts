/** The metrics of a server, as Prometheus reads them. */

export interface Scraped {
  /** By name and labels, as they are written: `ridgeline_refusals_total{reason="not_found"}`. */
  samples: Map<string, number>;
  /** The sum over all labels of a name, or over those samples whose labels contain the text. */
  sum(name: string, labels?: string): number;
  types: Map<string, string>;
}

/** As Prometheus has it. */
const LIMIT_MS = 10_000;

/** On a connection of its own, so that none is left open at the server. */
export async function scrape(url: string): Promise<Scraped> {
  const signal = AbortSignal.timeout(LIMIT_MS);
  const response = await fetch(`${url}/metrics`, { headers: { connection: 'close' }, signal });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}: ${text}`);
  return parseMetrics(text);
}

function parseMetrics(text: string): Scraped {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, name, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
    if (name) types.set(name, type!);
    const [, series, value] = /^([^#].*) (\S+)$/.exec(line) ?? [];
    if (series) samples.set(series, Number(value));
  }
  return {
    samples,
    types,
    sum: (name, labels = '') =>
      [...samples]
        .filter(([series]) => series.split('{', 1)[0] === name && series.includes(labels))
        .reduce((total, [, value]) => total + value, 0),
  };
}
