/**
 * Collects the nodes and constants of one ONNX graph, in the order of computation. `add` returns the name of the value
 * that it made, so that a graph is written as nested calls read from the inside out.
 */
import { AttributeType, DataType } from './messages.ts';

/** float64 tensors carry the pipeline's numbers, int64 ones positions. */
export interface GraphBuilder<Operator extends string = string> {
  /** A float64 constant with the given dimensions; returns its name. */
  float64(name: string, dims: number[], values: ArrayLike<number>): string;
  /** A one-dimensional int64 constant; returns its name. */
  int64(name: string, values: readonly number[]): string;
  /** A node of the default domain with one output and integer attributes; returns the output's name. */
  add(opType: Operator, output: string, inputs: string[], attributes?: Record<string, number>): string;
  /** The GraphProto with the given inputs and outputs, all float64; a string dimension is free. */
  build(name: string, inputs: ValueInfo[], outputs: ValueInfo[]): Record<string, unknown>;
}

export interface ValueInfo {
  name: string;
  dims: (number | string)[];
}

export function createGraphBuilder<Operator extends string = string>(): GraphBuilder<Operator> {
  const node: object[] = [];
  const initializer: object[] = [];
  return {
    float64(name, dims, values) {
      const rawData = new Uint8Array(values.length * 8);
      const view = new DataView(rawData.buffer);
      // The format is little-endian whatever the machine.
      for (let i = 0; i < values.length; i++) view.setFloat64(i * 8, values[i]!, true);
      initializer.push({ name, dims, dataType: DataType.DOUBLE, rawData });
      return name;
    },
    int64(name, values) {
      const rawData = new Uint8Array(values.length * 8);
      const view = new DataView(rawData.buffer);
      values.forEach((value, i) => {
        view.setBigInt64(i * 8, BigInt(value), true);
      });
      initializer.push({ name, dims: [values.length], dataType: DataType.INT64, rawData });
      return name;
    },
    add(opType, output, input, attributes = {}) {
      const attribute = Object.entries(attributes).map(([name, i]) => ({ name, i, type: AttributeType.INT }));
      node.push({ name: output, opType, input, output: [output], attribute });
      return output;
    },
    build: (name, inputs, outputs) => ({
      name,
      node,
      initializer,
      input: inputs.map(valueInfo),
      output: outputs.map(valueInfo),
    }),
  };
}

function valueInfo({ name, dims }: ValueInfo) {
  const dim = dims.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: DataType.DOUBLE, shape: { dim } } } };
}
