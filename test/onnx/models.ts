/** ONNX files for the tests, made by our own encoder: of any graph, with the names that a version must bring. */
import protobuf from 'protobufjs/light.js';
import { FEATURE_NAMES } from '../../src/onnx/feature-names.ts';
import { createGraphBuilder, type GraphBuilder, type ValueInfo } from '../../src/onnx/graph-builder.ts';
import { encodeModel } from '../../src/onnx/messages.ts';

/** Names for so many features: f1, f2 and so on. */
export const namesOf = (features: number) => Array.from({ length: features }, (_, i) => `f${i + 1}`);

/** The bytes of a model with this graph; `more` are further fields of the ModelProto. */
export function modelOf(graph: object, names: readonly string[], more: object = {}): Uint8Array {
  return encodeModel({
    irVersion: 10,
    opsetImport: [{ domain: '', version: 21 }],
    metadataProps: [{ key: FEATURE_NAMES, value: JSON.stringify(names) }],
    graph,
    ...more,
  });
}

/** A model from `x` [N, columns] to `y` [N, 1] with the nodes that `addNodes` adds. */
export function rowsModel(
  columns: number,
  addNodes: (graph: GraphBuilder) => void,
  { inputs, outputs }: { inputs?: ValueInfo[]; outputs?: ValueInfo[] } = {},
): Uint8Array {
  const graph = createGraphBuilder();
  addNodes(graph);
  const built = graph.build(
    'rows',
    inputs ?? [{ name: 'x', dims: ['N', columns] }],
    outputs ?? [{ name: 'y', dims: ['N', 1] }],
  );
  return modelOf(built, namesOf(columns));
}

/** The sum of each row. */
export function addSum(graph: GraphBuilder, columns: number): void {
  graph.add('MatMul', 'y', ['x', graph.float64('ones', [columns, 1], new Array(columns).fill(1))]);
}

/** A field of a message by its number: a whole number, a text, bytes or a message within. */
export type RawField = [id: number, value: number | string | Uint8Array | RawField[]];

/** A message written field by field, for what our encoder does not know: other fields, a field twice, other claims. */
export function rawMessage(fields: readonly RawField[]): Uint8Array {
  const writer = protobuf.Writer.create();
  for (const [id, value] of fields) {
    writer.uint32((id << 3) | (typeof value === 'number' ? 0 : 2));
    if (typeof value === 'number') writer.int64(value);
    else if (typeof value === 'string') writer.string(value);
    else writer.bytes(value instanceof Uint8Array ? value : rawMessage(value));
  }
  return writer.finish();
}
