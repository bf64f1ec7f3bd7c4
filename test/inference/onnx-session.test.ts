import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { openOnnxSession } from '../../src/inference/onnx-session.ts';
import { createGraphBuilder, type ValueInfo } from '../../src/onnx/graph-builder.ts';
import { operators } from '../../src/onnx/operators.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { modelOf, namesOf, rowsModel } from '../onnx/models.ts';
import { loadWines, wines } from '../support/declaration.ts';

const FLOAT = 1;

const names = wines.names;
let artefact: Uint8Array;
beforeAll(async () => {
  ({ artefact } = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 }));
});

/** A graph that sums each row, with the given inputs and outputs; other element types than float64 may be named. */
function sumGraph(options: {
  inputs?: (ValueInfo & { elemType?: number })[];
  outputs?: ValueInfo[];
  columns?: number;
  names?: string[];
  /** Whether the sum is a column, as in [N, 1], or a bare number for each row, as in [N]. */
  keepdims?: number;
}): Uint8Array {
  const { columns = 2, keepdims = 1, names = namesOf(columns) } = options;
  const inputs = options.inputs ?? [{ name: 'x', dims: ['N', columns] }];
  const outputs = options.outputs ?? [{ name: 'y', dims: ['N', 1] }];
  const graph = createGraphBuilder();
  const ones = graph.float64('ones', keepdims ? [columns, 1] : [columns], new Array(columns).fill(1));
  const rows = graph.add('Cast', 'rows', [inputs[0]!.name], operators.Cast);
  graph.add('MatMul', outputs[0]!.name, [rows, ones]);
  for (const { name } of outputs.slice(1)) graph.add('Cast', name, [rows], operators.Cast);
  const built = graph.build('sum', inputs, outputs) as { input: Typed[] };
  inputs.forEach(({ elemType }, i) => {
    if (elemType !== undefined) built.input[i]!.type.tensorType.elemType = elemType;
  });
  return modelOf(built, names);
}
interface Typed {
  type: { tensorType: { elemType: number } };
}

/** The message of the refusal; fails when the bytes are accepted or refused in another way. */
async function refusalOf(bytes: Uint8Array, names: readonly string[]): Promise<string> {
  try {
    const session = openOnnxSession(bytes, names);
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
    const session = openOnnxSession(sumGraph({}), namesOf(2));
    expect(Array.from(session.run(Float64Array.of(1, 2), 1))).toEqual([3]);
    expect(Array.from(session.run(Float64Array.of(1, 2, 3, 4, 5, 6), 3))).toEqual([3, 7, 11]);
    const many = Float64Array.from({ length: 2 * 5000 }, (_, i) => i);
    expect(Array.from(session.run(many, 5000))).toEqual(Array.from({ length: 5000 }, (_, i) => 4 * i + 1));
    session.release();
  });

  test('may answer with [N] instead of [N, 1]', async () => {
    const bytes = sumGraph({ outputs: [{ name: 'y', dims: ['N'] }], keepdims: 0 });
    const session = openOnnxSession(bytes, namesOf(2));
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
    const session = openOnnxSession(bytes, namesOf(2));
    expect(Array.from(session.run(Float64Array.of(1, 2), 1))).toEqual([3]);
    session.release();
  });

  test('computes in float64: digits that float32 lacks are kept', async () => {
    const session = openOnnxSession(sumGraph({}), namesOf(2));
    expect(Array.from(session.run(Float64Array.of(1, 1e-12), 1))).toEqual([1 + 1e-12]);
    session.release();
  });
});

describe('a graph with another signature is refused, and the message says what is wrong:', () => {
  test('12 columns or 14 where 13 are declared', async () => {
    expect(await refusalOf(sumGraph({ columns: 12, names: namesOf(13) }), namesOf(13))).toBe(
      'The input x is float64 [N,12]; it must be float64 [N, 13], N free.',
    );
    expect(await refusalOf(sumGraph({ columns: 14, names: namesOf(13) }), namesOf(13))).toContain('[N,14]');
    expect(await refusalOf(artefact, wines.names.slice(0, 4))).toContain(
      'It expects oak, which the declaration lacks.',
    );
  });

  test('float32', async () => {
    const bytes = sumGraph({ inputs: [{ name: 'x', dims: ['N', 2], elemType: FLOAT }] });
    expect(await refusalOf(bytes, namesOf(2))).toBe('The input x is float32 [N,2]; it must be float64 [N, 2], N free.');
  });

  test('a fixed number of rows', async () => {
    const bytes = sumGraph({ inputs: [{ name: 'x', dims: [1, 2] }], outputs: [{ name: 'y', dims: [1, 1] }] });
    expect(await refusalOf(bytes, namesOf(2))).toContain('float64 [1,2]');
  });

  test('a free number of columns', async () => {
    expect(await refusalOf(sumGraph({ inputs: [{ name: 'x', dims: ['N', 'F'] }] }), namesOf(2))).toContain('[N,F]');
  });

  test('three dimensions', async () => {
    const bytes = rowsModel(2, (graph) => graph.add('Cast', 'y', ['x'], operators.Cast), {
      inputs: [{ name: 'x', dims: ['N', 2, 1] }],
      outputs: [{ name: 'y', dims: ['N', 2, 1] }],
    });
    expect(await refusalOf(bytes, namesOf(2))).toContain('[N,2,1]');
  });

  test('two inputs', async () => {
    const inputs = ['x', 'z'].map((name) => ({ name, dims: ['N', 2] }));
    expect(await refusalOf(sumGraph({ inputs }), namesOf(2))).toBe('The graph needs exactly one input, a tensor.');
  });

  test('an answer of two columns', async () => {
    const bytes = rowsModel(2, (graph) => graph.add('Cast', 'y', ['x'], operators.Cast), {
      outputs: [{ name: 'y', dims: ['N', 2] }],
    });
    expect(await refusalOf(bytes, namesOf(2))).toBe('The first output must be float64 [N, 1] or [N].');
  });
});

describe('bytes that are no model are refused as bad_artefact:', () => {
  test('none at all', async () => {
    expect(await refusalOf(new Uint8Array(0), names)).toContain('It is empty.');
  });

  test('random ones', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 500 }), async (bytes) => {
        await refusalOf(bytes, names);
      }),
      { numRuns: 50 },
    );
  });

  test('an artefact cut anywhere', async () => {
    for (let length = 1; length < artefact.length; length += 37) {
      await refusalOf(artefact.slice(0, length), names);
    }
    await refusalOf(artefact.slice(0, -1), names);
    await refusalOf(artefact.slice(1), names);
  });

  test('an unknown operator, and one that lacks its input', async () => {
    const bytesOf = (opType: string, input: string) =>
      rowsModel(1, (graph) => graph.add(opType, 'y', [input], operators.Cast));
    expect(await refusalOf(bytesOf('NoSuchOperator', 'x'), namesOf(1))).toContain('NoSuchOperator');
    expect(await refusalOf(bytesOf('Cast', 'nothing'), namesOf(1))).toContain('nothing');
  });

  test('an operator set of the future', async () => {
    const graph = createGraphBuilder();
    graph.add('Cast', 'y', ['x'], operators.Cast);
    const value = (name: string) => [{ name, dims: ['N', 1] }];
    const bytes = modelOf(graph.build('future', value('x'), value('y')), namesOf(1), {
      opsetImport: [{ domain: '', version: 9999 }],
    });
    expect(await refusalOf(bytes, namesOf(1))).toMatch(/opset|9999/i);
  });
});
