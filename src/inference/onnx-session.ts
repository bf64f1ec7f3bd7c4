/** The one place that knows onnxruntime-node: opens ONNX bytes that the fence lets in, runs blocks of rows. */
// Before onnxruntime-node: it turns the runtime's telemetry off, which is read when the library loads.
import '../runtime.ts';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
// The binding below the documented module, whose run() makes the same call a turn of the event loop later: decision 0004.
import { type Binding, binding, initOrt } from 'onnxruntime-node/dist/binding.js';
import { RidgelineError } from '../errors.ts';
import { checkModel } from '../onnx/fence.ts';
import { rejectionByRuntime, runtimeSentence } from './runtime-failure.ts';

export interface OnnxSession {
  /**
   * Runs `rows` rows, given row-major in float64, and returns `predictions` with one float64 a row. It holds the event
   * loop meanwhile. Throws `run_failed` when ONNX Runtime fails: one row can cause that for all, so whoever has joined
   * the rows of several callers runs them apart then.
   */
  run(features: Float64Array, rows: number, predictions?: Float64Array): Float64Array;
  /** Frees the native session. No run may follow. */
  release(): void;
}

const sessionOptions: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  // The extended optimisations would fold a scaling in float32, at the cost of half of the digits: decision 0003.
  graphOptimizationLevel: 'basic',
  // A graph this small gains nothing from a second thread, and with one there is no pool whose idle threads spin.
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  // Both keep freed memory with the session; without them a replaced session returns all of its memory.
  enableCpuMemArena: false,
  enableMemPattern: false,
  // Refusals are reported in our own words; ONNX Runtime would print them to standard error besides.
  logSeverityLevel: 4,
};

/** Of TensorProto.DataType in onnx.proto. */
const FLOAT64 = 11;
const TYPE_NAMES: Record<number, string> = { 1: 'float32', 6: 'int32', 7: 'int64', 8: 'string', [FLOAT64]: 'float64' };

/**
 * Opens a model of the named features in this order, whose only input is float64 [N, features] and whose first output is
 * float64 [N, 1] or [N]. Throws `bad_artefact` for bytes that the fence or ONNX Runtime refuses and for another
 * signature, and another error where memory is short.
 */
export function openOnnxSession(bytes: Uint8Array, featureNames: readonly string[]): OnnxSession {
  checkModel(bytes, featureNames);
  const featureCount = featureNames.length;
  initOrt();
  const session = new binding.InferenceSession();
  try {
    session.loadModel(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength, sessionOptions);
  } catch (error) {
    throw rejectionByRuntime('refuses it', runtimeSentence(error));
  }
  const problem = signatureProblem(session, featureCount);
  if (problem) {
    session.dispose();
    throw new RidgelineError('bad_artefact', { detail: problem });
  }
  const inputName = session.inputMetadata[0]!.name;
  const outputName = session.outputMetadata[0]!.name;
  const isColumn = session.outputMetadata[0]!.shape.length === 2;
  return {
    run(features, rows, predictions = new Float64Array(rows)) {
      const feeds = { [inputName]: new Tensor('float64', features, [rows, featureCount]) };
      const fetches = { [outputName]: new Tensor('float64', predictions, isColumn ? [rows, 1] : [rows]) };
      try {
        session.run(feeds, fetches, {});
      } catch (error) {
        throw new RidgelineError('run_failed', { detail: runtimeSentence(error) });
      }
      return predictions;
    },
    release: () => session.dispose(),
  };
}

function signatureProblem(session: Binding.InferenceSession, featureCount: number): string | undefined {
  const [input, ...moreInputs] = session.inputMetadata;
  const output = session.outputMetadata[0];
  if (!input?.isTensor || moreInputs.length > 0) return 'The graph needs exactly one input, a tensor.';
  const [batch, width] = shapeOf(input);
  if (input.type !== FLOAT64 || input.shape.length !== 2 || typeof batch === 'number' || width !== featureCount) {
    const type = TYPE_NAMES[input.type] ?? `of ONNX type ${input.type}`;
    return `The input ${input.name} is ${type} [${shapeOf(input)}]; it must be float64 [N, ${featureCount}], N free.`;
  }
  if (!output?.isTensor || output.type !== FLOAT64 || output.shape.length > 2 || (shapeOf(output)[1] ?? 1) !== 1) {
    return 'The first output must be float64 [N, 1] or [N].';
  }
  return undefined;
}

/** Sizes of the dimensions, and names of the free ones. */
function shapeOf({ shape, symbolicDimensions }: Binding.ValueMetadata): (number | string)[] {
  return shape.map((size, i) => (size === -1 ? symbolicDimensions[i]! : size));
}
