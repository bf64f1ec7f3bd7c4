/**
 * The fence before ONNX Runtime, which is native code and believes what it reads: whoever can write a version's row or a
 * file in models/ could otherwise have it read files of this machine, run for ever, divide until the process dies. What
 * passes is what the exporter writes, or the same in other words.
 *
 *     bytes -> size -> known fields -> default domain -> operators and shapes -> features by name -> ONNX Runtime
 */
import { RidgelineError } from '../errors.ts';
import { FEATURE_NAMES, nameProblem } from './feature-names.ts';
import { type DecodedGraph, graphProblem } from './graph-check.ts';
import { fieldProblem, NOT_ONNX } from './known-fields.ts';
import { decodeModel } from './messages.ts';

/** Eight times the numbers of the widest pipeline that is let in. */
export const MAX_ARTEFACT_BYTES = 16 * 1024 * 1024;

/** How other kinds of files begin, for a helpful message. */
const beginnings: [string, string][] = [
  ['\x80', 'a pickle'],
  ['PK', 'a zip archive'],
  ['\x1f\x8b', 'a gzip archive'],
  ['{', 'JSON'],
];

interface DecodedModel {
  graph?: DecodedGraph;
  opsetImport: { domain?: string }[];
  metadataProps: { key?: string; value?: string }[];
}

/** Throws `bad_artefact`, with a sentence, for bytes that may not be given to ONNX Runtime. */
export function checkModel(bytes: Uint8Array, featureNames: readonly string[]): void {
  const problem = modelProblem(bytes, featureNames);
  if (problem !== undefined) {
    throw new RidgelineError('bad_artefact', { detail: `${problem} Publish a version with npm run train.` });
  }
}

function modelProblem(bytes: Uint8Array, featureNames: readonly string[]): string | undefined {
  if (bytes.length === 0) return 'It is empty.';
  if (bytes.length > MAX_ARTEFACT_BYTES) return sizeProblem(bytes.length);
  const beginning = beginnings.find(([start]) => [...start].every((sign, i) => sign.charCodeAt(0) === bytes[i]));
  if (beginning) return `It is not an ONNX file: it begins like ${beginning[1]}.`;
  const problem = fieldProblem(bytes);
  if (problem !== undefined) return problem;
  const model = decoded(bytes);
  if (!model) return NOT_ONNX;
  const { graph, opsetImport, metadataProps } = model;
  if (!graph) return 'It holds no graph.';
  const foreign = opsetImport.find(({ domain = '' }) => domain !== '' && domain !== 'ai.onnx');
  if (foreign) return `It needs operators of the domain ${JSON.stringify(foreign.domain!.slice(0, 60))}.`;
  const names = metadataProps.filter(({ key }) => key === FEATURE_NAMES);
  if (names.length > 1) return `It names its features ${names.length} times.`;
  return graphProblem(graph, featureNames.length) ?? nameProblem(names[0]?.value, featureNames);
}

/** Undefined where a text is not UTF-8, the one fault that the check of the fields leaves to the decoder. */
function decoded(bytes: Uint8Array): DecodedModel | undefined {
  try {
    return decodeModel(bytes) as unknown as DecodedModel;
  } catch {
    return undefined;
  }
}

/** For those who know the size before they have the bytes. */
export function sizeProblem(bytes: number): string | undefined {
  if (bytes <= MAX_ARTEFACT_BYTES) return undefined;
  return `It has ${bytes} bytes; more than ${MAX_ARTEFACT_BYTES} are not taken.`;
}
