import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { loadHousingDataset } from '../../src/housing/dataset.ts';
import { housing } from '../../src/housing/features.ts';
import { openOnnxSession } from '../../src/inference/onnx-session.ts';
import { createGraphBuilder, type ValueInfo } from '../../src/onnx/graph-builder.ts';
import { encodeModel } from '../../src/onnx/messages.ts';
import { trainPipeline } from '../../src/training/train.ts';

const FLOAT = 1;

let artefact: Uint8Array;
beforeAll(async () => {
  ({ artefact } = trainPipeline(loadHousingDataset(), { schema: housing, alpha: 1, seed: 0 }));
});

/** A graph that sums each row, with the given inputs and outputs; other element types than float64 may be named. */
function sumGraph(options: {
  inputs?: (ValueInfo & { elemType?: number })[];
  outputs?: ValueInfo[];
  columns?: number;
  /** Whether the sum is a column, as in [N, 1], or a bare number for each row, as in [N]. */
  keepdims?: number;
}): Uint8Array {
  const { columns = 2, keepdims = 1 } = options;
  const inputs = options.inputs ?? [{ name: 'x', dims: ['N', columns] }];
  const outputs = options.outputs ?? [{ name: 'y', dims: ['N', 1] }];
  const graph = createGraphBuilder();
  graph.add('ReduceSum', outputs[0]!.name, [inputs[0]!.name, graph.int64('axis', [1])], { keepdims });
  for (const { name } of outputs.slice(1)) graph.add('Identity', name, [inputs[0]!.name]);
  const built = graph.build('sum', inputs, outputs) as { input: Typed[]; output: Typed[] };
  inputs.forEach(({ elemType }, i) => {
    if (elemType === undefined) return;
    built.input[i]!.type.tensorType.elemType = elemType;
    for (const output of built.output) output.type.tensorType.elemType = elemType;
  });
  return encodeModel({ irVersion: 10, opsetImport: [{ domain: '', version: 21 }], graph: built as object });
}
interface Typed {
  type: { tensorType: { elemType: number } };
}

/** The message of the refusal; fails when the bytes are accepted or refused in another way. */
async function refusalOf(bytes: Uint8Array, featureCount: number): Promise<string> {
  try {
    const session = openOnnxSession(bytes, featureCount);
    session.release();
  } catch (error) {
    expect(error).toBeInstanceOf(RidgelineError);
    expect((error as RidgelineError).code).toBe('bad_artefact');
    return (error as RidgelineError).message;
  }
  throw new Error('The bytes were accepted.');
}

describe('a graph with the right signature', () => {
  test('is run with any number of rows', async () => {
    const session = openOnnxSession(sumGraph({}), 2);
    expect(Array.from(session.run(Float64Array.of(1, 2), 1))).toEqual([3]);
    expect(Array.from(session.run(Float64Array.of(1, 2, 3, 4, 5, 6), 3))).toEqual([3, 7, 11]);
    const many = Float64Array.from({ length: 2 * 5000 }, (_, i) => i);
    expect(Array.from(session.run(many, 5000))).toEqual(Array.from({ length: 5000 }, (_, i) => 4 * i + 1));
    session.release();
  });

  test('may answer with [N] instead of [N, 1]', async () => {
    const bytes = sumGraph({ outputs: [{ name: 'y', dims: ['N'] }], keepdims: 0 });
    const session = openOnnxSession(bytes, 2);
    expect(Array.from(session.run(Float64Array.of(1, 2, 3, 4), 2))).toEqual([3, 7]);
    session.release();
  });

  test('may have further outputs', async () => {
    const bytes = sumGraph({
      outputs: [
        { name: 'y', dims: ['N', 1] },
        { name: 'copy', dims: ['N', 2] },
      ],
    });
    const session = openOnnxSession(bytes, 2);
    expect(Array.from(session.run(Float64Array.of(1, 2), 1))).toEqual([3]);
    session.release();
  });

  test('computes in float64: digits that float32 lacks are kept', async () => {
    const session = openOnnxSession(sumGraph({}), 2);
    expect(Array.from(session.run(Float64Array.of(1, 1e-12), 1))).toEqual([1 + 1e-12]);
    session.release();
  });
});

describe('a graph with another signature is refused, and the message says what is wrong:', () => {
  test('12 columns or 14 where 13 are declared', async () => {
    expect(await refusalOf(sumGraph({ columns: 12 }), 13)).toBe(
      'The input x is float64 [N,12]; it must be float64 [N, 13], N free.',
    );
    expect(await refusalOf(sumGraph({ columns: 14 }), 13)).toContain('[N,14]');
    expect(await refusalOf(artefact, 12)).toContain('[N,13]');
  });

  test('float32', async () => {
    const bytes = sumGraph({ inputs: [{ name: 'x', dims: ['N', 2], elemType: FLOAT }] });
    expect(await refusalOf(bytes, 2)).toBe('The input x is float32 [N,2]; it must be float64 [N, 2], N free.');
  });

  test('a fixed number of rows', async () => {
    const bytes = sumGraph({ inputs: [{ name: 'x', dims: [1, 2] }], outputs: [{ name: 'y', dims: [1, 1] }] });
    expect(await refusalOf(bytes, 2)).toContain('float64 [1,2]');
  });

  test('a free number of columns', async () => {
    expect(await refusalOf(sumGraph({ inputs: [{ name: 'x', dims: ['N', 'F'] }] }), 2)).toContain('[N,F]');
  });

  test('three dimensions', async () => {
    const bytes = sumGraph({ inputs: [{ name: 'x', dims: ['N', 2, 1] }], outputs: [{ name: 'y', dims: ['N', 1, 1] }] });
    expect(await refusalOf(bytes, 2)).toContain('[N,2,1]');
  });

  test('two inputs', async () => {
    const inputs = ['x', 'z'].map((name) => ({ name, dims: ['N', 2] }));
    expect(await refusalOf(sumGraph({ inputs }), 2)).toBe('The graph needs exactly one input, a tensor.');
  });

  test('an answer of two columns', async () => {
    const graph = createGraphBuilder();
    graph.add('Identity', 'y', ['x']);
    const value = (name: string) => [{ name, dims: ['N', 2] }];
    const bytes = encodeModel({
      irVersion: 10,
      opsetImport: [{ domain: '', version: 21 }],
      graph: graph.build('copy', value('x'), value('y')),
    });
    expect(await refusalOf(bytes, 2)).toBe('The first output must be float64 [N, 1] or [N].');
  });
});

describe('bytes that are no model are refused as bad_artefact:', () => {
  test('none at all', async () => {
    expect(await refusalOf(new Uint8Array(0), 13)).toContain('ONNX Runtime refuses it');
  });

  test('random ones', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 500 }), async (bytes) => {
        await refusalOf(bytes, 13);
      }),
      { numRuns: 50 },
    );
  });

  test('an artefact cut anywhere', async () => {
    for (let length = 1; length < artefact.length; length += 37) {
      await refusalOf(artefact.slice(0, length), 13);
    }
    await refusalOf(artefact.slice(0, -1), 13);
    await refusalOf(artefact.slice(1), 13);
  });

  test('an unknown operator, and one that lacks its input', async () => {
    const bytesOf = (opType: string, input: string) => {
      const graph = createGraphBuilder();
      graph.add(opType, 'y', [input]);
      return encodeModel({
        irVersion: 10,
        opsetImport: [{ domain: '', version: 21 }],
        graph: graph.build('broken', [{ name: 'x', dims: ['N', 1] }], [{ name: 'y', dims: ['N', 1] }]),
      });
    };
    expect(await refusalOf(bytesOf('NoSuchOperator', 'x'), 1)).toContain('NoSuchOperator');
    expect(await refusalOf(bytesOf('Identity', 'nothing'), 1)).toContain('nothing');
  });

  test('an operator set of the future', async () => {
    const graph = createGraphBuilder();
    graph.add('Identity', 'y', ['x']);
    const value = (name: string) => [{ name, dims: ['N', 1] }];
    const bytes = encodeModel({
      irVersion: 10,
      opsetImport: [{ domain: '', version: 9999 }],
      graph: graph.build('future', value('x'), value('y')),
    });
    expect(await refusalOf(bytes, 1)).toMatch(/opset|9999/i);
  });
});
