/**
 * Runs before what is TypeScript, so it is none: without the development dependencies, which NODE_ENV=production keeps
 * npm from installing, the shell would find no `tsx` and say something else.
 */
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);
const missing = ['tsx', 'esbuild'].filter((name) => {
  try {
    resolve(name);
    return false;
  } catch {
    return true;
  }
});
if (missing.length > 0) {
  console.error(`The build needs ${missing.join(' and ')}, which npm has not installed. Install everything with

  npm ci --include=dev

What is built already runs without them: node dist/src/server.js`);
  process.exit(1);
}
