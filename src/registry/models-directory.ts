/** The files in models/, as a server uses them: it writes what it serves, and serves from them while it has no database. */
import { diskAdvice } from '../disk-advice.ts';
import { reasonOf } from '../errors.ts';
import { createOutage, type OutageOptions } from '../outage.ts';
import { rememberServed, versionsOnDisk } from './artefacts.ts';
import type { PipelineArtefact } from './pipeline-versions.ts';

export interface ModelsDirectory {
  /** Writes the files of the version that is served now. Never rejects: the log says when they cannot be written. */
  write(pipeline: PipelineArtefact): Promise<void>;
  /** The version whose files could not be written. */
  unwritten(): string | undefined;
  /** Hands out versions, best first, until one is served, which is when `serve` does not reject. */
  serveBest(serve: (pipeline: PipelineArtefact) => Promise<void>): Promise<void>;
}

export function createModelsDirectory(modelsDir: string, log: OutageOptions['log']): ModelsDirectory {
  const outage = createOutage({
    log,
    level: 'warn',
    begins: 'the artefact cannot be written to models/; a start without the database needs it',
    ends: 'the artefact is written to models/',
  });
  let unwritten: string | undefined;
  /** The last reason for each version that could not be served, as many as `versionsOnDisk` gives out at most. */
  let reasons = new Map<string, string>();

  return {
    async write(pipeline) {
      try {
        await rememberServed(modelsDir, pipeline);
        unwritten = undefined;
        outage.end();
      } catch (error) {
        unwritten = pipeline.pipelineVersion;
        outage.begin(new Error(`${reasonOf(error)}. ${diskAdvice(error, 'MODELS_DIR')}`));
      }
    },
    unwritten: () => unwritten,
    async serveBest(serve) {
      const before = reasons;
      reasons = new Map();
      for (const { pipelineVersion, read } of await versionsOnDisk(modelsDir)) {
        try {
          return await serve(await read());
        } catch (error) {
          const reason = reasonOf(error);
          reasons.set(pipelineVersion, reason);
          if (before.get(pipelineVersion) === reason) continue;
          log.warn({ pipelineVersion, reason }, 'an artefact in models/ cannot be served');
        }
      }
    },
  };
}
