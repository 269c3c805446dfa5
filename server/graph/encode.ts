import path from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import type { ByteRange } from '../disk/byte-range.ts';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './onnx/onnx_pb.ts';
import { describeSize, type ElementType, isOpen, type Value } from './value.ts';

export type Attribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] };

export interface Node {
  readonly op: string;
  /** ONNX's own operators, or ONNX Runtime's fused ones. */
  readonly domain: '' | 'com.microsoft';
  readonly name: string;
  /** An empty string for an omitted optional input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface Initializer {
  readonly value: Value;
  readonly data: Uint8Array | ByteRange;
}

export interface GraphParts {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly initializers: readonly Initializer[];
  readonly nodes: readonly Node[];
  /** Type and shape of every input and output of a node, by name. */
  readonly values: ReadonlyMap<string, Value>;
}

/** An ONNX model whose weights stay in their files. */
export interface Model {
  readonly bytes: Uint8Array;
  /** The folder that external data locations are relative to: the root of the file system. */
  readonly externalFolder: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** The byte range of each weight in a file. */
  readonly weights: readonly ByteRange[];
  /** For printing; `bytes` has the same nodes without intermediate shapes. */
  readonly nodes: readonly Node[];
  readonly values: ReadonlyMap<string, Value>;
}

/** TensorProto.DataType */
export const dataType: Readonly<Record<ElementType, DataType>> = {
  float64: DataType.DOUBLE,
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  bfloat16: DataType.BFLOAT16,
  float8e4m3: DataType.FLOAT8E4M3FN,
  float8e5m2: DataType.FLOAT8E5M2,
  int64: DataType.INT64,
  int32: DataType.INT32,
  int16: DataType.INT16,
  int8: DataType.INT8,
  uint8: DataType.UINT8,
};

/** Later opsets may miss CUDA kernels that are registered for an exact version. */
const opset = 20n;
const irVersion = 9n;

/** Serializes a graph as ModelProto. */
export function encodeModel(name: string, parts: GraphParts): Model {
  const externalFolder = externalRoot(parts.initializers);
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: 'acepp-layers',
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: opset }),
      create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n }),
    ],
    graph: create(GraphProtoSchema, {
      name,
      node: parts.nodes.map((node) =>
        create(NodeProtoSchema, {
          name: node.name,
          opType: node.op,
          domain: node.domain,
          input: [...node.inputs],
          output: [...node.outputs],
          attribute: Object.entries(node.attributes).map(([key, attribute]) =>
            encodeAttribute(key, attribute),
          ),
        }),
      ),
      initializer: parts.initializers.map((initializer) => encodeInitializer(initializer, externalFolder)),
      input: parts.inputs.map(encodeValueInfo),
      output: parts.outputs.map(encodeValueInfo),
    }),
  });
  return {
    bytes: toBinary(ModelProtoSchema, model),
    externalFolder,
    inputs: parts.inputs,
    outputs: parts.outputs,
    weights: parts.initializers.flatMap(({ data }) => (data instanceof Uint8Array ? [] : [data])),
    nodes: parts.nodes,
    values: parts.values,
  };
}

/** On Windows, all files of a graph must be on one drive. */
function externalRoot(initializers: readonly Initializer[]): string {
  const files = initializers.flatMap(({ data }) => (data instanceof Uint8Array ? [] : [data.file]));
  const roots = new Set(files.map((file) => path.parse(file).root));
  if (roots.size > 1) throw new Error(`The weights are on several drives: ${[...roots].join(' ')}`);
  return [...roots][0] ?? path.parse(process.cwd()).root;
}

function encodeAttribute(name: string, attribute: Attribute): AttributeProto {
  if ('int' in attribute) {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(attribute.int) });
  }
  if ('float' in attribute) {
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: attribute.float });
  }
  if ('text' in attribute) {
    const s = new TextEncoder().encode(attribute.text);
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s });
  }
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: attribute.ints.map(BigInt) });
}

function encodeInitializer({ value, data }: Initializer, externalFolder: string): TensorProto {
  const tensor = create(TensorProtoSchema, {
    name: value.name,
    dataType: dataType[value.type],
    dims: value.shape.map(BigInt),
  });
  if (data instanceof Uint8Array) {
    tensor.rawData = data;
    return tensor;
  }
  const entries = {
    location: path.relative(externalFolder, data.file).replaceAll(path.sep, '/'),
    offset: String(data.offset),
    length: String(data.length),
  };
  tensor.dataLocation = DataLocation.EXTERNAL;
  tensor.externalData = Object.entries(entries).map(([key, entry]) =>
    create(StringStringEntryProtoSchema, { key, value: entry }),
  );
  return tensor;
}

function encodeValueInfo({ name, type, shape }: Value): ValueInfoProto {
  const dim = shape.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value: isOpen(size)
        ? { case: 'dimParam', value: describeSize(size) }
        : { case: 'dimValue', value: BigInt(size) },
    }),
  );
  const tensorType = create(TypeProto_TensorSchema, {
    elemType: dataType[type],
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, { name, type: create(TypeProtoSchema, { tensorType }) });
}
