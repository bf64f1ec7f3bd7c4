/** The operators that an exported pipeline consists of. The exporter writes no others, and the fence lets no others in. */
import { DataType } from './messages.ts';

/**
 * For each operator, the attributes that it may have and their values. Both axes are the one of the columns: what works
 * along the other one makes an answer depend on the rows of other callers. A cast to whole numbers would make a division
 * by 0 end the process.
 */
export const operators = {
  IsNaN: {},
  Where: {},
  Gather: { axis: 1 },
  Sub: {},
  Div: {},
  Equal: {},
  Cast: { to: DataType.DOUBLE },
  Concat: { axis: 1 },
  MatMul: {},
  Add: {},
} as const satisfies Record<string, Readonly<Record<string, number>>>;

export type Operator = keyof typeof operators;
