/**
 * The second look: what does the graph compute? Only the operators that the exporter writes are let in, and only where they
 * work on each row by itself, because a run joins the rows of several callers. The columns of every value are counted, so
 * that no graph, however small, asks for more memory than the widest pipeline does.
 *
 *     rows [N, columns] --IsNaN, Where, Gather, Sub, Div, Equal, Cast, Concat, MatMul, Add--> rows [N, columns]
 */
import { AttributeType, DataType } from './messages.ts';
import { type Operator, operators } from './operators.ts';

/** What decodeModel makes of a GraphProto; a field that the file lacks is undefined, a repeated one empty. */
export interface DecodedGraph {
  node: DecodedNode[];
  initializer: DecodedTensor[];
  input: DecodedValue[];
  output: DecodedValue[];
}
interface DecodedNode {
  opType?: string;
  domain?: string;
  input: string[];
  output: string[];
  attribute: { name?: string; i?: number; type?: number }[];
}
interface DecodedTensor {
  name?: string;
  dims: number[];
  dataType?: number;
  rawData?: Uint8Array;
  int64Data: number[];
  doubleData: number[];
  dataLocation?: number;
}
interface DecodedValue {
  name?: string;
  type?: { tensorType?: { shape?: { dim: { dimValue?: number }[] } } };
}

/**
 * Of all values of a row together. Ten thousand categories, more than can be fitted, make 40,000; 2,048 rows of this
 * many take 1 GiB.
 */
const MAX_COLUMNS = 65_536;

/** A constant, or a value with a number of columns for each row. A value with `isLast` may not be computed with. */
type Value = { dims: number[]; isDouble: boolean } | { columns: number; isLast?: boolean };

/** How many inputs an operator takes where it is not two, or any number. */
const inputCounts: Partial<Record<Operator, number>> = { IsNaN: 1, Cast: 1, Where: 3 };

/** Says why a graph is not let in, or undefined. `columns` are those of an input whose shape does not tell. */
export function graphProblem(graph: DecodedGraph, columns: number): string | undefined {
  const values = new Map<string, Value>();
  for (const tensor of graph.initializer) {
    const problem = tensorProblem(tensor) ?? nameProblem(tensor.name, values);
    if (problem) return problem;
    values.set(tensor.name!, { dims: tensor.dims, isDouble: tensor.dataType === DataType.DOUBLE });
  }
  for (const { name, type } of graph.input) {
    const problem = nameProblem(name, values);
    if (problem) return problem;
    values.set(name!, { columns: type?.tensorType?.shape?.dim[1]?.dimValue ?? columns });
  }
  let width = 0;
  for (const node of graph.node) {
    const problem = nodeProblem(node) ?? nameProblem(node.output[0], values);
    if (problem) return problem;
    const missing = node.input.find((name) => !values.has(name));
    if (missing !== undefined) return `${told(node)} needs ${quoted(missing)}, which is not there before it.`;
    const made = resultOf(
      node.opType as Operator,
      node.input.map((name) => values.get(name)!),
    );
    if (!made) return `${told(node)} does not work on each row by itself, or does not fit the shapes of its inputs.`;
    width += made.columns;
    if (width > MAX_COLUMNS) return `It makes more than ${MAX_COLUMNS} numbers of a row.`;
    values.set(node.output[0]!, made);
  }
  const foreign = graph.output.find(({ name = '' }) => !('columns' in (values.get(name) ?? {})));
  return foreign && `The output ${quoted(foreign.name)} is not computed from the rows.`;
}

/** The value that a node makes of its inputs, or undefined when it would not be rows of the same number. */
function resultOf(operator: Operator, inputs: Value[]): { columns: number; isLast?: boolean } | undefined {
  if (inputs.some((value) => 'columns' in value && value.isLast)) return undefined;
  if (operator === 'Concat') {
    if (!inputs.every((value) => 'columns' in value)) return undefined;
    return { columns: inputs.reduce((sum, value) => sum + value.columns, 0) };
  }
  if (inputs.length !== (inputCounts[operator] ?? 2)) return undefined;
  const [a, ...others] = inputs as [Value, ...Value[]];
  if (!('columns' in a)) return undefined;
  const [b] = others;
  if (operator === 'Gather') {
    if (!b || !('dims' in b) || b.isDouble || b.dims.length !== 1) return undefined;
    return { columns: b.dims[0]! };
  }
  if (operator === 'MatMul') {
    if (!b || !('dims' in b) || !b.isDouble || b.dims[0] !== a.columns) return undefined;
    return b.dims.length === 2 ? { columns: b.dims[1]! } : { columns: 1, isLast: true };
  }
  return others.every((value) => isElementwise(value, a.columns)) ? a : undefined;
}

/** Whether a value stands beside rows element by element: rows as wide, one constant for all, or one for each column. */
function isElementwise(value: Value, width: number): boolean {
  if ('columns' in value) return value.columns === width;
  const [columns = 1, rows = 1] = value.dims.toReversed();
  return value.isDouble && rows === 1 && (columns === 1 || columns === width);
}

function nodeProblem(node: DecodedNode): string | undefined {
  const { opType = '', domain = '', attribute, output } = node;
  if (domain !== '' && domain !== 'ai.onnx') return `${told(node)} is of the domain ${quoted(domain)}.`;
  if (!Object.hasOwn(operators, opType)) {
    return `${told(node)} is not let in; a pipeline consists of ${Object.keys(operators).join(', ')}.`;
  }
  const allowed: Readonly<Record<string, number>> = operators[opType as Operator];
  const asAllowed = attribute.filter(
    ({ name = '', i = 0, type }) => type === AttributeType.INT && Object.hasOwn(allowed, name) && allowed[name] === i,
  );
  if (attribute.length !== Object.keys(allowed).length || asAllowed.length !== attribute.length) {
    const wanted = Object.entries(allowed).map(([name, value]) => `the attribute ${name} = ${value}`);
    return `${told(node)} must have ${wanted.join(', ') || 'no attributes'}.`;
  }
  return output.length === 1 ? undefined : `${told(node)} must have one output.`;
}

function tensorProblem({ name, dims, dataType, rawData, int64Data, doubleData, dataLocation = 0 }: DecodedTensor) {
  if (dataLocation !== 0) return `The numbers of ${quoted(name)} are in another file. Save it as one.`;
  if (dataType !== DataType.DOUBLE && dataType !== DataType.INT64) return `${quoted(name)} is not float64 or int64.`;
  if (dims.length > 2 || dims.some((size) => size < 0)) return `${quoted(name)} is neither a list nor a matrix.`;
  const claimed = dims.reduce((product, size) => product * size, 1);
  const listed = dataType === DataType.DOUBLE ? doubleData : int64Data;
  const other = dataType === DataType.DOUBLE ? int64Data : doubleData;
  const held = rawData && rawData.length > 0 ? rawData.length / 8 + listed.length : listed.length;
  if (claimed === held && other.length === 0 && !(rawData?.length && listed.length)) return undefined;
  return `${quoted(name)} claims ${claimed} numbers and holds ${held}.`;
}

function nameProblem(name: string | undefined, values: ReadonlyMap<string, Value>): string | undefined {
  if (!name) return 'A value has no name.';
  return values.has(name) ? `${quoted(name)} is defined twice.` : undefined;
}

const told = ({ output, opType }: DecodedNode) => `The node ${quoted(output[0])} (${quoted(opType)})`;

/** Text from the file, which may be of any length and hold anything. */
const quoted = (text = '') => JSON.stringify(text.slice(0, 60)).slice(1, -1);
