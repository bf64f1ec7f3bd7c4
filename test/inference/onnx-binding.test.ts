/** The undocumented module of ONNX Runtime that inference/onnx-session.ts is built on, held to the version that was looked at. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { binding, initOrt } from 'onnxruntime-node/dist/binding.js';
import { expect, test } from 'vitest';

const LOOKED_AT = '1.30.0';
const ADVICE =
  'Another version of onnxruntime-node is installed: see whether lib/backend.ts still calls loadModel, run and dispose of ' +
  'its binding as inference/onnx-session.ts does, run test/inference and npm run bench, then set LOOKED_AT.';

const root = join(import.meta.dirname, '../..');
const json = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));

test('is of the version that was looked at, installed and in package-lock.json', () => {
  const locked = json('package-lock.json').packages['node_modules/onnxruntime-node'].version;
  const installed = json('node_modules/onnxruntime-node/package.json').version;
  expect({ locked, installed }, ADVICE).toEqual({ locked: LOOKED_AT, installed: LOOKED_AT });
});

test('has the members that we use', () => {
  expect(initOrt, ADVICE).toBeTypeOf('function');
  initOrt();
  const session = new binding.InferenceSession();
  for (const member of ['loadModel', 'run', 'dispose'] as const) expect(session[member], ADVICE).toBeTypeOf('function');
  const prototype = Object.getPrototypeOf(session) as object;
  for (const member of ['inputMetadata', 'outputMetadata']) expect(member in prototype, ADVICE).toBe(true);
});
