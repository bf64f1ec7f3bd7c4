/** What a database needs before it can be served from: the schema, and a first pipeline version when there is none. */
import { withAdvisoryLock } from '../database/advisory-lock.ts';
import { migrate } from '../database/migrate.ts';
import { createPool } from '../database/pool.ts';
import { newestPromotions } from '../registry/pipeline-versions.ts';

/** Migrates, then trains and publishes a first version if none is served. Several processes at once make one. */
export async function prepareDatabase(
  url: string,
  { modelsDir, onProgress }: { modelsDir: string; onProgress: (message: string) => void },
): Promise<void> {
  const migrations = await migrate(url);
  if (migrations.length > 0) onProgress(`applied migrations ${migrations.join(', ')}`);
  const pool = createPool({ url, onError: () => undefined, max: 2 });
  try {
    const isPublished = async () => (await newestPromotions(pool, 1)).length > 0;
    if (await isPublished()) return;
    await withAdvisoryLock(url, 'ridgeline_first_version', { wait: true }, async () => {
      if (await isPublished()) return;
      onProgress('training a first pipeline, as there is none');
      // Not at the top: to load what trains takes 0.1 s, which every other start can do without.
      const { publishFirstVersion } = await import('./first-version.ts');
      await publishFirstVersion(pool, modelsDir);
    });
  } finally {
    await pool.end();
  }
}
