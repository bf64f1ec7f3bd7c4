import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RidgelineError } from '../../src/errors.ts';
import { openOnnxSession } from '../../src/inference/onnx-session.ts';
import { checkModel, MAX_ARTEFACT_BYTES } from '../../src/onnx/fence.ts';
import { createGraphBuilder, type GraphBuilder } from '../../src/onnx/graph-builder.ts';
import { DataType } from '../../src/onnx/messages.ts';
import { operators } from '../../src/onnx/operators.ts';
import { trainPipeline } from '../../src/training/train.ts';
import { loadWines, wines } from '../support/declaration.ts';
import { addSum, modelOf, namesOf, type RawField, rawMessage, rowsModel } from './models.ts';

const names = wines.names;
const { artefact } = trainPipeline(loadWines(), { contract: wines, alpha: 1, seed: 0 });

/** What the fence says of the bytes, or undefined when it lets them in; nothing but a refusal may be thrown. */
function refusalOf(bytes: Uint8Array, declared: readonly string[] = namesOf(2)): string | undefined {
  try {
    checkModel(bytes, declared);
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(RidgelineError);
    expect((error as RidgelineError).code).toBe('bad_artefact');
    return (error as RidgelineError).message;
  }
}

const graphOf = (addNodes: (graph: GraphBuilder) => void) => rowsModel(2, addNodes);

/** Numbers of onnx.proto. */
const MODEL = { graph: 7, opset: 8, functions: 25, training: 20 };
const GRAPH = { node: 1, initializer: 5, sparse: 15, output: 12 };
const NODE = { input: 1, output: 2, opType: 4, attribute: 5, domain: 7 };
const TENSOR = { dims: 1, dataType: 2, name: 8, rawData: 9, external: 13, location: 14 };

/** A model whose graph has these fields besides, by their numbers: what our encoder does not write. */
const rawModel = (...graph: RawField[]) => rawMessage([[MODEL.graph, graph]]);
const sumNode: RawField = [
  GRAPH.node,
  [
    [NODE.opType, 'MatMul'],
    [NODE.output, 'y'],
  ],
];

describe('what is exported is let in', () => {
  test('as it is written', () => {
    expect(refusalOf(artefact, names)).toBeUndefined();
  });

  test('with missing values replaced by one constant for all rows, one for each column, or what is computed of the row', () => {
    for (const replacement of [graphWith([0]), graphWith([3, 4]), graphWith(undefined)]) {
      expect(refusalOf(replacement)).toBeUndefined();
    }
    const session = openOnnxSession(graphWith([3, 4]), namesOf(2));
    expect(Array.from(session.run(Float64Array.of(Number.NaN, 2, 1, Number.NaN), 2))).toEqual([5, 5]);
    session.release();

    function graphWith(constant: number[] | undefined): Uint8Array {
      return graphOf((graph) => {
        const replacement = constant
          ? graph.float64('c', [1, constant.length], constant)
          : graph.add('Add', 'twice', ['x', 'x']);
        const filled = graph.add('Where', 'filled', [graph.add('IsNaN', 'missing', ['x']), replacement, 'x']);
        graph.add('MatMul', 'y', [filled, graph.float64('ones', [2, 1], [1, 1])]);
      });
    }
  });

  test('with numbers as lists and texts for people, as other tools write them', () => {
    const graph = createGraphBuilder();
    addSum(graph, 2);
    const built = graph.build('sum', [{ name: 'x', dims: ['N', 2] }], [{ name: 'y', dims: ['N', 1] }]);
    const initializer = [{ name: 'ones', dims: [2, 1], dataType: DataType.DOUBLE, doubleData: [1, 1] }];
    const bytes = modelOf({ ...built, initializer, docString: 'a sum' }, namesOf(2), { producerVersion: '7' });
    expect(refusalOf(bytes)).toBeUndefined();
    const session = openOnnxSession(bytes, namesOf(2));
    expect(Array.from(session.run(Float64Array.of(1, 2), 1))).toEqual([3]);
    session.release();
  });
});

describe('data in other files are refused, wherever they are named:', () => {
  const where: RawField = [
    TENSOR.external,
    [
      [1, 'location'],
      [2, 'package.json'],
    ],
  ];
  test.each<[string, Uint8Array]>([
    ['in a constant', rawModel([GRAPH.initializer, [[TENSOR.name, 'w'], where]])],
    ['in a constant that claims to be inside as well', rawModel([GRAPH.initializer, [[TENSOR.rawData, 'x'], where]])],
    ['in an attribute', rawModel([GRAPH.node, [[NODE.attribute, [[5, [where]]]]]])],
  ])('%s', (_, bytes) => {
    expect(refusalOf(bytes)).toMatch(/in another file\. Save it as one/);
  });

  test('by the place alone', () => {
    const tensor: RawField[] = [
      [TENSOR.name, 'w'],
      [TENSOR.dataType, DataType.DOUBLE],
      [TENSOR.location, 1],
    ];
    expect(refusalOf(rawModel([GRAPH.initializer, tensor]))).toMatch(/numbers of w are in another file/);
  });

  test('in sparse tensors, graphs within nodes and functions, which are refused themselves', () => {
    expect(refusalOf(rawModel([GRAPH.sparse, [[1, [where]]]]))).toMatch(/sparse tensor/);
    expect(refusalOf(rawModel([GRAPH.node, [[NODE.attribute, [[22, [[1, [where]]]]]]]]))).toMatch(
      /no exported pipeline/,
    );
    expect(refusalOf(rawModel([GRAPH.node, [[NODE.attribute, [[6, [[GRAPH.initializer, [where]]]]]]]]))).toMatch(
      /graph of its own/,
    );
    expect(refusalOf(rawMessage([[MODEL.functions, [[7, [[NODE.attribute, [[5, [where]]]]]]]]]))).toMatch(/functions/);
  });
});

describe('what computes anything else than an exported pipeline is refused:', () => {
  test.each<[string, Uint8Array, RegExp]>([
    [
      'a graph within a node, which may never end',
      rawModel([
        GRAPH.node,
        [
          [NODE.opType, 'Loop'],
          [NODE.attribute, [[6, [sumNode]]]],
        ],
      ]),
      /graph of its own.*for ever/,
    ],
    ['several of them', rawModel([GRAPH.node, [[NODE.attribute, [[11, [sumNode]]]]]]), /graphs of its own/],
    ['functions of its own', rawMessage([[MODEL.functions, [[1, 'Secret']]]]), /functions of its own/],
    ['training', rawMessage([[MODEL.training, [[1, []]]]]), /instructions for training/],
    [
      'operators of another domain',
      modelOf({}, [], { opsetImport: [{ domain: 'com.example', version: 1 }] }),
      /domain/,
    ],
    [
      'a node of another domain',
      rawModel([
        GRAPH.node,
        [
          [NODE.opType, 'MatMul'],
          [NODE.output, 'y'],
          [NODE.domain, 'com.microsoft'],
        ],
      ]),
      /The node y \(MatMul\) is of the domain com\.microsoft/,
    ],
    ['the mean of all rows', graphOf((graph) => graph.add('ReduceMean', 'y', ['x'])), /\(ReduceMean\) is not let in/],
    ['a name that JavaScript knows', graphOf((graph) => graph.add('constructor', 'y', ['x'])), /is not let in/],
    [
      'another row',
      graphOf((graph) => graph.add('Gather', 'y', ['x', graph.int64('i', [0])], { axis: 0 })),
      /axis = 1/,
    ],
    ['all rows one below the other', graphOf((graph) => graph.add('Concat', 'y', ['x', 'x'], { axis: 0 })), /axis = 1/],
    [
      'whole numbers',
      graphOf((graph) => graph.add('Cast', 'y', ['x'], { to: DataType.INT64 })),
      /must have the attribute to = 11/,
    ],
    ['an attribute too many', graphOf((graph) => graph.add('Add', 'y', ['x', 'x'], { broadcast: 1 })), /no attributes/],
    [
      'each row beside every other',
      graphOf((graph) => graph.add('Add', 'y', ['x', graph.float64('c', [2, 2], [1, 2, 3, 4])])),
      /each row by itself/,
    ],
    [
      'the rows as columns',
      graphOf((graph) => graph.add('MatMul', 'y', [graph.float64('c', [1, 2], [1, 2]), 'x'])),
      /each row by itself/,
    ],
    [
      'one row in the place of another',
      graphOf((graph) =>
        graph.add('Where', 'y', [graph.add('IsNaN', 'm', ['x']), graph.float64('c', [2, 2], [1, 2, 3, 4]), 'x']),
      ),
      /The node y \(Where\) does not work on each row by itself/,
    ],
    [
      'rows chosen by what is no row',
      graphOf((graph) => graph.add('Where', 'y', [graph.float64('c', [1, 2], [1, 0]), 'x', 'x'])),
      /\(Where\) does not work on each row/,
    ],
    [
      'rows chosen from narrower ones',
      graphOf((graph) => {
        const one = graph.add('Gather', 'one', ['x', graph.int64('i', [0])], { axis: 1 });
        graph.add('Where', 'y', [graph.add('IsNaN', 'm', ['x']), one, 'x']);
      }),
      /\(Where\) does not work on each row/,
    ],
    [
      'positions in the place of numbers',
      graphOf((graph) => graph.add('Where', 'y', [graph.add('IsNaN', 'm', ['x']), graph.int64('i', [0, 1]), 'x'])),
      /\(Where\) does not work on each row/,
    ],
    [
      'a choice without a second side',
      graphOf((graph) => graph.add('Where', 'y', [graph.add('IsNaN', 'm', ['x']), 'x'])),
      /does not fit the shapes of its inputs/,
    ],
    [
      'what is missing of constants',
      graphOf((graph) => graph.add('IsNaN', 'y', [graph.float64('c', [1, 2], [1, 0])])),
      /\(IsNaN\) does not work on each row/,
    ],
    [
      'infinities, which the exporter does not look for',
      graphOf((graph) => graph.add('IsInf', 'y', ['x'])),
      /\(IsInf\) is not let in/,
    ],
    [
      'numbers of one row with those of others, by way of a list',
      graphOf((graph) => {
        const list = graph.add('MatMul', 'list', ['x', graph.float64('ones', [2], [1, 1])]);
        graph.add('Add', 'y', ['x', list]);
      }),
      /each row by itself/,
    ],
    [
      'more memory with every node',
      graphOf((graph) => {
        let last = 'x';
        for (let i = 0; i < 40; i++) last = graph.add('Concat', `wider${i}`, [last, last], operators.Concat);
      }),
      /more than 65536 numbers of a row/,
    ],
    ['what is not there', graphOf((graph) => graph.add('Add', 'y', ['x', 'z'])), /needs z, which is not there/],
    ['a name twice', graphOf((graph) => graph.add('Add', 'x', ['x', 'x'])), /x is defined twice/],
    ['nothing', graphOf(() => undefined), /output y is not computed/],
    ['a constant answer', graphOf((graph) => graph.float64('y', [1], [1])), /output y is not computed/],
  ])('%s', (_, bytes, message) => {
    expect(refusalOf(bytes)).toMatch(message);
  });

  test.each<[string, number[], number]>([
    ['too much', [2 ** 40], 8],
    ['more than a number can hold', [2 ** 53, 2 ** 53], 8],
    ['too little', [1], 16],
    ['less than nothing', [-1], 8],
    ['a cube', [1, 1, 1], 8],
  ])('a constant that claims %s', (_, dims, bytes) => {
    const tensor: RawField[] = [
      ...dims.map((size): RawField => [TENSOR.dims, size]),
      [TENSOR.dataType, DataType.DOUBLE],
      [TENSOR.name, 'w'],
      [TENSOR.rawData, new Uint8Array(bytes)],
    ];
    expect(refusalOf(rawModel([GRAPH.initializer, tensor]))).toMatch(/^w (claims|is neither)/);
  });
});

describe('features are compared by name and place:', () => {
  const written = (value: string | undefined) =>
    modelOf(sumOfTwo(), [], { metadataProps: value === undefined ? [] : [{ key: 'feature_names', value }] });
  function sumOfTwo(): object {
    const graph = createGraphBuilder();
    addSum(graph, 2);
    return graph.build('sum', [{ name: 'x', dims: ['N', 2] }], [{ name: 'y', dims: ['N', 1] }]);
  }

  test('another order is refused by the first name that has moved', () => {
    const moved = ['alcohol', ...names.filter((name) => name !== 'alcohol')];
    expect(refusalOf(artefact, moved)).toMatch(/^It expects acidity where alcohol is declared, as feature 1\./);
  });

  test('another set is refused by what there is too much and too little', () => {
    const renamed = names.map((name) => (name === 'alcohol' ? 'strength' : name));
    expect(refusalOf(artefact, renamed)).toMatch(
      /^It expects alcohol, which the declaration lacks, and does not expect strength, which is declared\./,
    );
    expect(refusalOf(artefact, names.slice(1))).toMatch(/^It expects acidity, which the declaration lacks\./);
    expect(refusalOf(artefact, [...names, 'colour'])).toMatch(/^It does not expect colour, which is declared\./);
  });

  test.each([
    [undefined, /does not name its features/],
    ['no JSON', /does not name its features/],
    ['{"0": "f1"}', /does not name its features/],
    ['["f1", 2]', /does not name its features/],
    ['["f1", "f2", "f2"]', /names 3 features, some twice/],
    ['["f2", "f1"]', /expects f2 where f1 is declared, as feature 1/],
  ])('the names %s are refused', (value, message) => {
    expect(refusalOf(written(value))).toMatch(message);
    expect(refusalOf(written('["f1", "f2"]'))).toBeUndefined();
  });

  test('named twice they are refused', () => {
    const property = { key: 'feature_names', value: '["f1","f2"]' };
    expect(refusalOf(modelOf(sumOfTwo(), [], { metadataProps: [property, property] }))).toMatch(/2 times/);
  });
});

describe('bytes of another kind are refused in bounded time and memory:', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['none', new Uint8Array(0), /^It is empty/],
    ['more than any pipeline has', new Uint8Array(MAX_ARTEFACT_BYTES + 1), /16777217 bytes; more than 16777216/],
    ['a pickle', Buffer.from('\x80\x04\x95', 'latin1'), /begins like a pickle/],
    ['a zip archive', Buffer.from('PK\x03\x04'), /begins like a zip/],
    ['text', Buffer.from('no model'), /not an ONNX file/],
    ['only zeros', new Uint8Array(1000), /not an ONNX file/],
    [
      'a graph twice, which some readers merge',
      rawMessage([
        [MODEL.graph, []],
        [MODEL.graph, []],
      ]),
      /graph twice/,
    ],
    [
      'a million empty nodes',
      rawModel([GRAPH.node, new Uint8Array(0)], ...emptyNodes(50_000)),
      /more than 20000 fields/,
    ],
    ['a text that is not UTF-8', rawModel([2, Uint8Array.of(0xff, 0xfe)]), /not an ONNX file/],
    ['a group', Uint8Array.of((7 << 3) | 3, (7 << 3) | 4), /not an ONNX file/],
    ['no graph', rawMessage([[1, 10]]), /holds no graph/],
  ])('%s', (_, bytes, message) => {
    expect(refusalOf(bytes)).toMatch(message);
  });

  function emptyNodes(count: number): RawField[] {
    return Array.from({ length: count }, () => [GRAPH.node, new Uint8Array(0)]);
  }

  test('an artefact cut at every byte, but for where a property ends that nobody needs', () => {
    const letIn = [];
    for (let length = 0; length < artefact.length; length++) {
      if (refusalOf(artefact.subarray(0, length), names) === undefined) letIn.push(length);
    }
    // After feature_names come four more.
    expect(letIn).toHaveLength(4);
  });

  test('random bytes, and an artefact with random changes, never anything but refused or let in and loaded', () => {
    const change = fc.tuple(fc.nat({ max: artefact.length - 1 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Uint8Array.from(artefact);
        for (const [at, value] of changes) bytes[at] = value;
        if (refusalOf(bytes, names) !== undefined) return;
        try {
          openOnnxSession(bytes, names).release();
        } catch (error) {
          expect(error).toMatchObject({ code: 'bad_artefact' });
        }
      }),
      { numRuns: 2000, seed: 13 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        expect(refusalOf(bytes, names)).toBeDefined();
      }),
      { numRuns: 2000, seed: 13 },
    );
  });
});
