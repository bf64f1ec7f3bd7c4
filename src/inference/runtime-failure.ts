/**
 * What ONNX Runtime says when it refuses or fails, in our own words. Its texts hold paths and lines of the build, names
 * of C++ functions, paths of this machine, values of the rows: none of it may reach a row of the database, an answer or
 * /health. So a text of a known form becomes a sentence of ours, and nothing else of it is passed on.
 */
import { RidgelineError } from '../errors.ts';

const forms: [RegExp, (...found: string[]) => string][] = [
  [/running (\w+) node\. Name:\s?'([^'\n]*)'/, (operator, name) => `The node ${told(name)} (${operator}) fails.`],
  [
    /Node \(([^)\n]*)\) Op \((\w+)\)/,
    (name, operator) => `The node ${told(name)} (${operator}) does not fit its inputs.`,
  ],
  [
    /Unsupported model IR version: (\d+), max supported IR version: (\d+)/,
    (found, newest) => `Its IR version is ${found}; ${newest} is the newest that can be read.`,
  ],
  [/opset (?:version )?(\d+)/i, (version) => `Its operator set ${version} is not known here.`],
  [/Type Error: Type '([\w()]{1,40})' of input parameter/, (type) => `An operator does not take ${type}.`],
  [/Invalid rank for input|Got invalid dimensions for input/, () => 'It does not take rows of this shape.'],
  [/protobuf parsing failed/i, () => 'The bytes are damaged.'],
];

const OUT_OF_MEMORY = /bad_alloc|failed to allocate|out of memory/i;
const NO_MEMORY = 'There is not enough memory.';

/** A sentence about anything that the runtime has thrown. */
export function runtimeSentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  for (const [form, say] of forms) {
    const found = form.exec(text);
    if (found) return say(...found.slice(1));
  }
  return OUT_OF_MEMORY.test(text) ? NO_MEMORY : 'It gives no reason that can be told here.';
}

/**
 * The rejection of a version that the runtime does not load or run, for a reason in our words. A plain error where only
 * memory was short: that is true of the machine at this moment, not of the version.
 */
export function rejectionByRuntime(what: string, sentence: string): Error {
  const detail = `ONNX Runtime ${what}: ${sentence}`;
  return sentence === NO_MEMORY ? new Error(detail) : new RidgelineError('bad_artefact', { detail });
}

/** A name from the graph, which may be of any length and hold anything. */
function told(name = ''): string {
  return JSON.stringify(name.slice(0, 60)).slice(1, -1);
}
