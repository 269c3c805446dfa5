import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Model } from '../../server/graph/encode.ts';
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
} from '../../server/graph/onnx/onnx_pb.ts';

/**
 * A graph in 16 bits for the CPU, which has few kernels for them, and those less exact than a GPU's: each node computes in
 * float32, and what comes out is rounded. GPUs do the same, as their sums are float32 too.
 */
export function roundedAfterEachNode(model: Model, type: 'bfloat16' | 'float16'): Model {
  const half = type === 'bfloat16' ? DataType.BFLOAT16 : DataType.FLOAT16;
  const proto = fromBinary(ModelProtoSchema, model.bytes);
  const graph = proto.graph!;
  const outputs = new Set(graph.output.map(({ name }) => name));
  /** Where later nodes find what had this name. */
  const seenAs = new Map<string, string>();
  const nodes: NodeProto[] = [];
  const cast = (from: string, to: string, type: DataType) =>
    nodes.push(
      create(NodeProtoSchema, {
        opType: 'Cast',
        name: to,
        input: [from],
        output: [to],
        attribute: [create(AttributeProtoSchema, { name: 'to', type: AttributeType.INT, i: BigInt(type) })],
      }),
    );
  for (const { name, dataType } of graph.initializer) {
    if (dataType !== half) continue;
    cast(name, `${name} wide`, DataType.FLOAT);
    seenAs.set(name, `${name} wide`);
  }
  for (const node of graph.node) {
    node.input = node.input.map((name) => seenAs.get(name) ?? name);
    nodes.push(node);
    if (node.opType === 'Cast' && node.attribute[0]!.i === BigInt(DataType.FLOAT)) continue;
    if (node.opType === 'Cast' && node.attribute[0]!.i === BigInt(half)) {
      const [name = ''] = node.output;
      cast(name, `${name} wide`, DataType.FLOAT);
      seenAs.set(name, `${name} wide`);
      continue;
    }
    for (const name of node.output) {
      if (outputs.has(name)) continue;
      cast(name, `${name} rounded`, half);
      cast(`${name} rounded`, `${name} wide`, DataType.FLOAT);
      seenAs.set(name, `${name} wide`);
    }
  }
  graph.node = nodes;
  return { ...model, bytes: toBinary(ModelProtoSchema, proto) };
}
