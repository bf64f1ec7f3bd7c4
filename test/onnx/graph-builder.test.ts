import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openOnnxSession } from '../../src/inference/onnx-session.ts';
import { createGraphBuilder, type GraphBuilder } from '../../src/onnx/graph-builder.ts';
import { AttributeType, DataType, decodeModel, encodeModel } from '../../src/onnx/messages.ts';
import { modelOf, namesOf } from './models.ts';

interface DecodedGraph {
  name: string;
  node: { name: string; opType: string; input: string[]; output: string[]; attribute: object[] }[];
  initializer: { name: string; dims: number[]; dataType: number; rawData: Uint8Array }[];
  input: object[];
  output: object[];
}

/** Builds a graph from `features` [N, width] to `prediction` [N, 1] and returns the bytes of its model. */
function encode(width: number, addNodes: (graph: GraphBuilder) => void): Uint8Array {
  const graph = createGraphBuilder();
  addNodes(graph);
  return modelOf(
    graph.build('test', [{ name: 'features', dims: ['N', width] }], [{ name: 'prediction', dims: ['N', 1] }]),
    namesOf(width),
  );
}

function decodeGraph(bytes: Uint8Array): DecodedGraph {
  return decodeModel(bytes).graph as DecodedGraph;
}

test('float64 constants keep every bit, little-endian', () => {
  fc.assert(
    fc.property(fc.array(fc.double(), { minLength: 1 }), (values) => {
      const bytes = encode(1, (graph) => {
        expect(graph.float64('numbers', [1, values.length], values)).toBe('numbers');
      });
      const [constant] = decodeGraph(bytes).initializer;
      expect(constant).toMatchObject({ name: 'numbers', dims: [1, values.length], dataType: DataType.DOUBLE });
      const raw = Buffer.from(constant!.rawData);
      expect(values.map((_, i) => raw.readDoubleLE(i * 8))).toEqual(values);
      expect(raw).toHaveLength(values.length * 8);
    }),
  );
});

test('int64 constants keep every whole number, negative ones too', () => {
  fc.assert(
    fc.property(fc.array(fc.maxSafeInteger(), { minLength: 1 }), (values) => {
      const [constant] = decodeGraph(encode(1, (graph) => graph.int64('positions', values))).initializer;
      expect(constant).toMatchObject({ name: 'positions', dims: [values.length], dataType: DataType.INT64 });
      const raw = Buffer.from(constant!.rawData);
      expect(values.map((_, i) => Number(raw.readBigInt64LE(i * 8)))).toEqual(values);
    }),
  );
});

test('a node has the name of its output, its inputs in order and integer attributes', () => {
  const bytes = encode(2, (graph) => {
    expect(graph.add('Gather', 'first', ['features', 'position'], { axis: 1 })).toBe('first');
    graph.add('Add', 'prediction', ['first', 'first']);
  });
  const { name, node } = decodeGraph(bytes);
  expect(name).toBe('test');
  expect(node).toEqual([
    {
      name: 'first',
      opType: 'Gather',
      input: ['features', 'position'],
      output: ['first'],
      attribute: [expect.objectContaining({ name: 'axis', i: 1, type: AttributeType.INT })],
    },
    { name: 'prediction', opType: 'Add', input: ['first', 'first'], output: ['prediction'], attribute: [] },
  ]);
});

test('inputs and outputs are float64, and a dimension given as a string is free', () => {
  const { input, output } = decodeGraph(encode(3, () => undefined));
  const shape = (width: number) => ({ dim: [{ dimParam: 'N' }, { dimValue: width }] });
  expect(input).toEqual([{ name: 'features', type: { tensorType: { elemType: DataType.DOUBLE, shape: shape(3) } } }]);
  expect(output).toEqual([
    { name: 'prediction', type: { tensorType: { elemType: DataType.DOUBLE, shape: shape(1) } } },
  ]);
});

test('two builders share nothing', () => {
  const one = createGraphBuilder();
  one.float64('a', [1], [1]);
  one.add('Identity', 'b', ['a']);
  expect(createGraphBuilder().build('empty', [], [])).toMatchObject({ node: [], initializer: [] });
});

test('ONNX Runtime runs what was built, written as nested calls', async () => {
  const bytes = encode(2, (graph) => {
    const last = graph.add('Gather', 'last', ['features', graph.int64('one', [1])], { axis: 1 });
    graph.add('Add', 'prediction', [
      graph.add('MatMul', 'weighted', ['features', graph.float64('weights', [2, 1], [10, 100])]),
      last,
    ]);
  });
  const session = openOnnxSession(bytes, namesOf(2));
  expect(Array.from(session.run(Float64Array.of(1, 2, 3, 4, -5, 0.25), 3))).toEqual([212, 434, -24.75]);
  session.release();
});

test('what is not a ModelProto is not encoded', () => {
  expect(() => encodeModel({ irVersion: 'ten' })).toThrow(/Not an ONNX ModelProto: irVersion/);
  expect(() => encodeModel({ graph: { node: [{ opType: 7 }] } })).toThrow(/opType/);
});

test('bytes that are not ONNX are not decoded', () => {
  expect(() => decodeModel(Uint8Array.of(0xff, 0xff, 0xff))).toThrow();
  expect(() => decodeModel(encode(2, () => undefined).subarray(0, -1))).toThrow();
});
