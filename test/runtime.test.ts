import { expect, test } from 'vitest';
import '../src/runtime.ts';

test('the telemetry of ONNX Runtime is off from here on', () => {
  expect(process.env.ORT_DISABLE_TELEMETRY).toBe('1');
});
