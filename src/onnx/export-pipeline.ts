/**
 * Writes a fitted pipeline as one ONNX graph in float64, from raw features to the prediction:
 *
 *     features [N, F] -> IsNaN -> Where, what replaces a missing value [1, F], features -> imputed [N, F]
 *     imputed [N, F] -> Gather numerical [N, S] -> Sub mean -> Div scale ---------+-> Concat [N, P]
 *                    -> Gather, a column for each category [N, C] -> Equal -> Cast +
 *     Concat [N, P] -> MatMul coef [P, 1] -> Add intercept -> prediction [N, 1]
 *
 * The first line is there where values may be missing. Texts arrive as their places in the contract. A category that equals
 * none of the known ones gives zeros, which is what `handle_unknown='ignore'` means. Sub and Div, not a multiplication by
 * the reciprocal, because that is the arithmetic of the fit. Plain operators of the default domain (`operators.ts`), because
 * those of ai.onnx.ml compute in float32: decision 0003.
 */
import { FEATURE_NAMES } from './feature-names.ts';
import { createGraphBuilder, type GraphBuilder } from './graph-builder.ts';
import { encodeModel } from './messages.ts';
import { type Operator, operators } from './operators.ts';

/** ONNX Runtime 1.18 and later read this pair; the newest runtime here reads up to IR 13 and opset 26. */
const IR_VERSION = 10;
const OPSET_VERSION = 21;

/** The graph's input, float64 [N, features in the declared order], and its output, float64 [N, 1]. */
export const INPUT_NAME = 'features';
export const OUTPUT_NAME = 'prediction';

/** What is read of a fitted pipeline: columns by their position, what was learned by scikit-learn's names. */
export interface ExportablePipeline {
  nFeaturesIn: number;
  imputer: { columns: readonly number[]; statistics: Float64Array };
  transformer: {
    numerical: readonly number[];
    categorical: readonly number[];
    scaler: { mean: Float64Array; scale: Float64Array };
    encoder: { categories: readonly Float64Array[] };
    /** Columns after the transform. */
    width: number;
  };
  ridge: { coef: Float64Array; intercept: number; alpha: number };
}

export interface ExportMetadata {
  featureNames: readonly string[];
  /** What people call a category of a column; the number itself where this is absent. */
  categoryName?: (column: number, category: number) => string | number | boolean | null;
  targetName: string;
  /** SHA-256 of the training data. */
  dataFingerprint: string;
}

/** The bytes of the ONNX model. The same pipeline and metadata give the same bytes. */
export function exportPipeline(pipeline: ExportablePipeline, metadata: ExportMetadata): Uint8Array {
  const { transformer, ridge, nFeaturesIn } = pipeline;
  const graph = createGraphBuilder<Operator>();
  const transformed = addColumnTransformer(graph, pipeline, addImputer(graph, pipeline));
  const coef = graph.float64('coef', [transformer.width, 1], ridge.coef);
  const intercept = graph.float64('intercept', [1], [ridge.intercept]);
  graph.add('Add', OUTPUT_NAME, [graph.add('MatMul', 'weighted', [transformed, coef]), intercept]);
  const { categoryName = (_column, category) => category } = metadata;
  const categories = transformer.categorical.map((column, k) => [
    metadata.featureNames[column]!,
    Array.from(transformer.encoder.categories[k]!, (category) => categoryName(column, category)),
  ]);
  const properties = {
    [FEATURE_NAMES]: JSON.stringify(metadata.featureNames),
    target_name: metadata.targetName,
    categories: JSON.stringify(Object.fromEntries(categories)),
    alpha: String(ridge.alpha),
    data_sha256: metadata.dataFingerprint,
  };
  return encodeModel({
    irVersion: IR_VERSION,
    producerName: 'ridgeline',
    opsetImport: [{ domain: '', version: OPSET_VERSION }],
    graph: graph.build(
      'ridge_pipeline',
      [{ name: INPUT_NAME, dims: ['N', nFeaturesIn] }],
      [{ name: OUTPUT_NAME, dims: ['N', 1] }],
    ),
    metadataProps: Object.entries(properties).map(([key, value]) => ({ key, value })),
  });
}

/** Returns the name of the rows in which nothing is missing. */
function addImputer(graph: GraphBuilder<Operator>, { imputer, nFeaturesIn }: ExportablePipeline): string {
  if (imputer.columns.length === 0) return INPUT_NAME;
  // All columns at once, as below; a column that is not imputed keeps a NaN, which its answer shows.
  const replacements = new Float64Array(nFeaturesIn).fill(Number.NaN);
  imputer.columns.forEach((column, k) => {
    replacements[column] = imputer.statistics[k]!;
  });
  return graph.add('Where', 'imputed', [
    graph.add('IsNaN', 'is_missing', [INPUT_NAME]),
    graph.float64('replacements', [1, nFeaturesIn], replacements),
    INPUT_NAME,
  ]);
}

function addColumnTransformer(
  graph: GraphBuilder<Operator>,
  { transformer }: ExportablePipeline,
  input: string,
): string {
  const { numerical, categorical, scaler, encoder } = transformer;
  const blocks: string[] = [];
  if (numerical.length > 0) {
    const columns = graph.int64('numerical_columns', numerical);
    const gathered = graph.add('Gather', 'numerical', [input, columns], operators.Gather);
    const mean = graph.float64('mean', [numerical.length], scaler.mean);
    const scale = graph.float64('scale', [numerical.length], scaler.scale);
    blocks.push(graph.add('Div', 'scaled', [graph.add('Sub', 'centred', [gathered, mean]), scale]));
  }
  const columns = categorical.flatMap((column, k) => Array.from(encoder.categories[k]!, () => column));
  if (columns.length > 0) {
    // All columns at once: for small batches the number of nodes decides what a run costs.
    const values = Float64Array.from(encoder.categories.flatMap((categories) => Array.from(categories)));
    const positions = graph.int64('categorical_columns', columns);
    const gathered = graph.add('Gather', 'categorical', [input, positions], operators.Gather);
    const equal = graph.add('Equal', 'is_category', [
      gathered,
      graph.float64('categories', [1, values.length], values),
    ]);
    blocks.push(graph.add('Cast', 'indicators', [equal], operators.Cast));
  }
  return blocks.length === 1 ? blocks[0]! : graph.add('Concat', 'transformed', blocks, operators.Concat);
}
