/** Settings of V8 and of ONNX Runtime, made before either has work to do. */
import { setFlagsFromString } from 'node:v8';

// ONNX Runtime 1.29+ opens a telemetry uploader when it loads, unless this is set before.
process.env.ORT_DISABLE_TELEMETRY ??= '1';

/**
 * How much the old generation may grow before V8 collects all of its heap (mark-compact). What V8 chooses after a quiet
 * minute makes it do so several times a second under load: decision 0006.
 */
const HEAP_GROWING_PERCENT = 200;

/** For a process that serves; a command ends before it would matter. */
export function tuneForServing(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
}
