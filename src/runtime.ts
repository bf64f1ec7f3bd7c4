/** What is asked of V8 and of ONNX Runtime: before either of them has work to do. */
import { setFlagsFromString } from 'node:v8';

// ONNX Runtime 1.29+ opens a telemetry uploader when it loads unless this is set before; nobody here has asked for one.
process.env.ORT_DISABLE_TELEMETRY ??= '1';

/**
 * V8 collects all of its heap when it has grown by so much since the last time. Left to itself it chooses hardly a tenth
 * after a quiet minute: of the 16 MB that live here, what hundreds of callers with batches leave in a fifth of a second.
 */
const HEAP_GROWING_PERCENT = 200;

/** For a process that serves; a command that ends after its work does not live to need it. */
export function tuneForServing(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
}
