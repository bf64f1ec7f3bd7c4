/**
 * The messages of the ONNX format that an exported pipeline uses, by the field numbers of onnx.proto (Apache-2.0,
 * github.com/onnx/onnx), and those that give away a file of other tools. What is left out here cannot be read, so the
 * fence refuses every file that has it.
 */
import protobuf from 'protobufjs/light.js';

/** TensorProto.DataType and AttributeProto.AttributeType, the values that are used. */
export const DataType = { INT64: 7, DOUBLE: 11 } as const;
export const AttributeType = { INT: 2 } as const;

const repeated = 'repeated';

const root = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: { id: 1, type: 'int64' },
        producerName: { id: 2, type: 'string' },
        producerVersion: { id: 3, type: 'string' },
        domain: { id: 4, type: 'string' },
        modelVersion: { id: 5, type: 'int64' },
        docString: { id: 6, type: 'string' },
        graph: { id: 7, type: 'GraphProto' },
        opsetImport: { id: 8, type: 'OperatorSetIdProto', rule: repeated },
        metadataProps: { id: 14, type: 'StringStringEntryProto', rule: repeated },
      },
    },
    OperatorSetIdProto: { fields: { domain: { id: 1, type: 'string' }, version: { id: 2, type: 'int64' } } },
    StringStringEntryProto: { fields: { key: { id: 1, type: 'string' }, value: { id: 2, type: 'string' } } },
    GraphProto: {
      fields: {
        node: { id: 1, type: 'NodeProto', rule: repeated },
        name: { id: 2, type: 'string' },
        initializer: { id: 5, type: 'TensorProto', rule: repeated },
        docString: { id: 10, type: 'string' },
        input: { id: 11, type: 'ValueInfoProto', rule: repeated },
        output: { id: 12, type: 'ValueInfoProto', rule: repeated },
        valueInfo: { id: 13, type: 'ValueInfoProto', rule: repeated },
      },
    },
    NodeProto: {
      fields: {
        input: { id: 1, type: 'string', rule: repeated },
        output: { id: 2, type: 'string', rule: repeated },
        name: { id: 3, type: 'string' },
        opType: { id: 4, type: 'string' },
        attribute: { id: 5, type: 'AttributeProto', rule: repeated },
        docString: { id: 6, type: 'string' },
        domain: { id: 7, type: 'string' },
      },
    },
    AttributeProto: {
      fields: {
        name: { id: 1, type: 'string' },
        f: { id: 2, type: 'float' },
        i: { id: 3, type: 'int64' },
        s: { id: 4, type: 'bytes' },
        t: { id: 5, type: 'TensorProto' },
        floats: { id: 7, type: 'float', rule: repeated },
        ints: { id: 8, type: 'int64', rule: repeated },
        strings: { id: 9, type: 'bytes', rule: repeated },
        docString: { id: 13, type: 'string' },
        type: { id: 20, type: 'int32' },
      },
    },
    TensorProto: {
      fields: {
        dims: { id: 1, type: 'int64', rule: repeated, options: { packed: false } },
        dataType: { id: 2, type: 'int32' },
        int64Data: { id: 7, type: 'int64', rule: repeated, options: { packed: true } },
        name: { id: 8, type: 'string' },
        rawData: { id: 9, type: 'bytes' },
        doubleData: { id: 10, type: 'double', rule: repeated, options: { packed: true } },
        docString: { id: 12, type: 'string' },
        dataLocation: { id: 14, type: 'int32' },
      },
    },
    ValueInfoProto: {
      fields: {
        name: { id: 1, type: 'string' },
        type: { id: 2, type: 'TypeProto' },
        docString: { id: 3, type: 'string' },
      },
    },
    TypeProto: {
      fields: { tensorType: { id: 1, type: 'TensorTypeProto' }, denotation: { id: 6, type: 'string' } },
    },
    TensorTypeProto: { fields: { elemType: { id: 1, type: 'int32' }, shape: { id: 2, type: 'TensorShapeProto' } } },
    TensorShapeProto: { fields: { dim: { id: 1, type: 'DimensionProto', rule: repeated } } },
    DimensionProto: {
      fields: {
        dimValue: { id: 1, type: 'int64' },
        dimParam: { id: 2, type: 'string' },
        denotation: { id: 3, type: 'string' },
      },
    },
  },
});

root.resolveAll();

/** The outermost message, with the fields of all others reachable from it. */
export const ModelProto = root.lookupType('ModelProto');

/** Encodes a ModelProto given as a plain object. Throws when a field does not have its declared type. */
export function encodeModel(model: Record<string, unknown>): Uint8Array {
  const problem = ModelProto.verify(model);
  if (problem) throw new TypeError(`Not an ONNX ModelProto: ${problem}`);
  return ModelProto.encode(ModelProto.create(model)).finish();
}

/** Decodes the fields above from ONNX bytes, 64-bit numbers as JavaScript numbers. Throws on bytes that are not ONNX. */
export function decodeModel(bytes: Uint8Array): Record<string, unknown> {
  return ModelProto.toObject(ModelProto.decode(bytes), { longs: Number, arrays: true });
}
