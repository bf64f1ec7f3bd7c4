/**
 * The first look at bytes that claim to be an ONNX file: is every field of every message one that `messages.ts` knows?
 * A decoder skips what it does not know, and ONNX Runtime obeys what was skipped: data in other files, graphs within
 * nodes, functions. Nothing is kept, and nothing is allocated by sizes that the bytes claim. No known message holds one of
 * its own kind, so the format bounds the depth: 7.
 */
import protobuf from 'protobufjs/light.js';
import { ModelProto } from './messages.ts';

/** More fields than any exported pipeline has, which is 100 to 200, and few enough to be held as objects. */
const MAX_FIELDS = 20_000;
/** Numbers written as a list: more than the widest transform that the fence lets in. */
const MAX_LIST_BYTES = 2 ** 20;

/** What the fields that other pipelines use mean, by message and field number of onnx.proto. */
const refused: Record<string, string> = {
  'ModelProto.20': 'It holds instructions for training.',
  'ModelProto.25': 'It brings functions of its own.',
  'ModelProto.26': 'It names devices to run on.',
  'GraphProto.15': 'It holds a sparse tensor.',
  'NodeProto.8': 'It calls a function of its own.',
  'AttributeProto.6': 'A node brings a graph of its own, as Loop, Scan and If do; such a graph can run for ever.',
  'AttributeProto.11': 'A node brings graphs of its own.',
  'TensorProto.13': 'Its numbers are in another file. Save it as one: onnx.save(onnx.load(path), path).',
};
const refusedMessages: Record<string, string> = {
  TensorProto: 'It holds a tensor of another type than float64 or int64.',
  TypeProto: 'An input or output is not a tensor.',
};

const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;
const wireTypes: Record<string, number> = { int64: VARINT, int32: VARINT, double: FIXED64, float: FIXED32 };

/** Says what is wrong with the bytes, or undefined when all of them are known fields of a ModelProto. */
export function fieldProblem(bytes: Uint8Array): string | undefined {
  const reader = protobuf.Reader.create(bytes);
  let fields = 0;

  function walk(type: protobuf.Type, end: number): string | undefined {
    const seen = new Set<number>();
    while (reader.pos < end) {
      const tag = reader.uint32();
      const field = type.fieldsById[tag >>> 3];
      if (!field) return unknownField(type.name, tag >>> 3);
      if (++fields > MAX_FIELDS) return `It has more than ${MAX_FIELDS} fields.`;
      // The last one would count, for some readers; for others both are merged.
      if (!field.repeated && seen.has(field.id)) return `It has ${type.name}.${field.name} twice.`;
      seen.add(field.id);
      const isList = field.packed && (tag & 7) === DELIMITED;
      if (!isList && (tag & 7) !== (wireTypes[field.type] ?? DELIMITED)) return NOT_ONNX;
      if ((tag & 7) !== DELIMITED) {
        reader.skipType(tag & 7);
        continue;
      }
      const length = reader.uint32();
      if (length > end - reader.pos) return NOT_ONNX;
      if (isList && length > MAX_LIST_BYTES)
        return `${type.name}.${field.name} is longer than ${MAX_LIST_BYTES} bytes.`;
      const problem = field.resolvedType instanceof protobuf.Type && walk(field.resolvedType, reader.pos + length);
      if (problem) return problem;
      if (!field.resolvedType) reader.skip(length);
    }
    return reader.pos === end ? undefined : NOT_ONNX;
  }

  try {
    return walk(ModelProto, bytes.length);
  } catch {
    // The bytes end in the middle of a number.
    return NOT_ONNX;
  }
}

export const NOT_ONNX = 'It is not an ONNX file, or a damaged one.';

function unknownField(message: string, id: number): string {
  const name = `${message}.${id}`;
  if (name in refused) return refused[name]!;
  // Bytes that are no ONNX begin with a field of any number.
  if (message === 'ModelProto') return NOT_ONNX;
  return refusedMessages[message] ?? `It has the field ${name}, which no exported pipeline has.`;
}
