/** The one place that knows onnxruntime-node: opens ONNX bytes and runs blocks of rows through them. */
// Before onnxruntime-node: config.ts turns the runtime's telemetry off, which is read when the library loads.
import '../config.ts';

import { InferenceSession, Tensor } from 'onnxruntime-node';
import { RidgelineError, reasonOf } from '../errors.ts';

export interface OnnxSession {
  /**
   * Runs `rows` rows, given row-major in float64, and returns one float64 a row. The native call is synchronous: it
   * holds the event loop for about 25 us and 0.2 us more a row. The library makes it at the end of the next turn of the
   * loop, or of this one when called before its end.
   */
  run(features: Float64Array, rows: number): Promise<Float64Array>;
  /** Frees the native session. No run may be under way or follow. */
  release(): Promise<void>;
}

const sessionOptions: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  // The extended optimisations fold a scaling into MatMul by way of a float32 factor, which costs half of the digits.
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

/**
 * Opens a model whose only input is float64 [N, featureCount] and whose first output is float64 [N, 1] or [N].
 * Throws `bad_artefact` for bytes that ONNX Runtime refuses and for another signature.
 */
export async function openOnnxSession(bytes: Uint8Array, featureCount: number): Promise<OnnxSession> {
  const session = await InferenceSession.create(bytes, sessionOptions).catch((error: unknown) => {
    throw new RidgelineError('bad_artefact', { detail: `ONNX Runtime refuses it: ${reasonOf(error)}`, cause: error });
  });
  const problem = signatureProblem(session, featureCount);
  if (problem) {
    await session.release();
    throw new RidgelineError('bad_artefact', { detail: problem });
  }
  const inputName = session.inputNames[0]!;
  const outputName = session.outputNames[0]!;
  const fetches = [outputName];
  return {
    async run(features, rows) {
      const feeds = { [inputName]: new Tensor('float64', features, [rows, featureCount]) };
      const output = (await session.run(feeds, fetches))[outputName]!;
      return output.data as Float64Array;
    },
    release: () => session.release(),
  };
}

function signatureProblem(session: InferenceSession, featureCount: number): string | undefined {
  const [input, ...moreInputs] = session.inputMetadata;
  const output = session.outputMetadata[0];
  if (!input?.isTensor || moreInputs.length > 0) return 'The graph needs exactly one input, a tensor.';
  const [batch, width] = input.shape;
  if (input.type !== 'float64' || input.shape.length !== 2 || typeof batch === 'number' || width !== featureCount) {
    return `The input ${input.name} is ${input.type} [${input.shape}]; it must be float64 [N, ${featureCount}], N free.`;
  }
  if (!output?.isTensor || output.type !== 'float64' || output.shape.length > 2 || (output.shape[1] ?? 1) !== 1) {
    return 'The first output must be float64 [N, 1] or [N].';
  }
  return undefined;
}
