import { describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { openOnnxSession } from '../../src/inference/onnx-session.ts';
import { rejectionByRuntime, runtimeSentence } from '../../src/inference/runtime-failure.ts';
import { operators } from '../../src/onnx/operators.ts';
import { addSum, namesOf, rowsModel } from '../onnx/models.ts';

/** What must not leave the process: places in the build or on this machine, functions of C++. */
const ofTheBuild = /\/|\\|\.cc|\.h\b|:\d+|::|onnxruntime/;

test.each([
  [
    'a run',
    "Non-zero status code returned while running Gather node. Name:'late' Status Message: /onnxruntime_src/core/gather.cc:66 indices element out of data bounds, idx=12345 must be within [-2,1]",
    'The node late (Gather) fails.',
  ],
  [
    'shapes',
    'Node (y) Op (MatMul) [ShapeInferenceError] /onnxruntime_src/onnx/defs.cc:12 Incompatible dimensions',
    'The node y (MatMul) does not fit its inputs.',
  ],
  [
    'the format',
    '/onnxruntime_src/onnxruntime/core/graph/model.cc:202 onnxruntime::Model::Model(onnx::ModelProto&&) Unsupported model IR version: 99, max supported IR version: 13',
    'Its IR version is 99; 13 is the newest that can be read.',
  ],
  [
    'memory',
    '/onnxruntime_src/bfc_arena.cc:376 Failed to allocate memory for requested buffer',
    'There is not enough memory.',
  ],
  [
    'a file of this machine',
    'External data path does not exist: "/srv/ridgeline/.data/postgres-password"',
    'It gives no reason that can be told here.',
  ],
])('of what ONNX Runtime says about %s, our own sentence is told', (_, message, sentence) => {
  const told = runtimeSentence(new Error(message));
  expect(told).toBe(sentence);
  expect(told).not.toMatch(ofTheBuild);
});

test('a refusal carries nothing of the original, also in its cause', () => {
  const refusal = rejectionByRuntime('refuses it', runtimeSentence(new Error('/onnxruntime_src/a.cc:1 no')));
  expect(refusal).toMatchObject({ code: 'bad_artefact' });
  expect(refusal.cause).toBeUndefined();
});

test('want of memory is not held against the version', () => {
  const refusal = rejectionByRuntime('refuses it', runtimeSentence(new Error('std::bad_alloc')));
  expect(refusal).not.toBeInstanceOf(RidgelineError);
  expect(refusal.message).toContain('not enough memory');
});

describe('what ONNX Runtime itself refuses or fails at', () => {
  function failureOf(work: () => unknown): RidgelineError {
    try {
      work();
    } catch (error) {
      expect(error).toBeInstanceOf(RidgelineError);
      return error as RidgelineError;
    }
    throw new Error('It did not fail.');
  }

  test('at load is told by the node', () => {
    const bytes = rowsModel(2, (graph) => {
      graph.add('Equal', 'same', ['x', 'x']);
      graph.add('MatMul', 'y', ['same', graph.float64('ones', [2, 1], [1, 1])]);
    });
    const { code, message } = failureOf(() => openOnnxSession(bytes, namesOf(2)));
    expect(code).toBe('bad_artefact');
    expect(message).not.toMatch(ofTheBuild);
  });

  test('at a run is told by the node, and the next run is answered', () => {
    const bytes = rowsModel(
      2,
      (graph) => {
        const positions = graph.int64('positions', [0, 7]);
        addSum(graph, 2);
        graph.add('Gather', 'outside', ['x', positions], operators.Gather);
        graph.add('MatMul', 'z', ['outside', graph.float64('both', [2, 1], [1, 1])]);
      },
      { outputs: [{ name: 'z', dims: ['N', 1] }] },
    );
    const session = openOnnxSession(bytes, namesOf(2));
    const failure = failureOf(() => session.run(Float64Array.of(1, 2), 1));
    expect(failure.code).toBe('run_failed');
    expect(failure.message).toBe('The node outside (Gather) fails.');
    expect(failure.cause).toBeUndefined();
    session.release();
  });
});
