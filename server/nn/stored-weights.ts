/**
 * The graph nodes for each way a tensor is stored: float32, 16 bits, float8 with or without scales, or blocks
 * of 4 or 8 bits. The result has the graph's dtype. ONNX Runtime's CPU provider casts float8 inline, as fast
 * as bfloat16: 3.6 ns per weight.
 */

import { elementCount } from '../../shared/safetensors.ts';
import { type Float8, float8Values, isFloat8 } from '../checkpoints/float8.ts';
import { adapterInvalid } from '../checkpoints/lora/invalid.ts';
import {
  invalidFile,
  matrixShape,
  type PlainTensor,
  type ScaledTensor,
  type StoredTensor,
} from '../checkpoints/tensor.ts';
import type { Graph } from '../graph/graph.ts';
import { type ElementType, sizeAlong, type Value } from '../graph/value.ts';

const elementType: Partial<Record<StoredTensor['dtype'], ElementType>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  F8_E4M3: 'float8e4m3',
  F8_E5M2: 'float8e5m2',
  U8: 'uint8',
};

/** Whether a graph supports the tensor's dtype. */
export function isComputable({ dtype }: StoredTensor): boolean {
  return elementType[dtype] !== undefined;
}

/** The zero point of 8-bit blocks. */
const zeroPoint = 128;

/** A tensor in the graph's dtype, reshaped if a shape is given. */
export function values(graph: Graph, tensor: StoredTensor, shape = tensor.shape): Value {
  const value = graph.castWeight(stored(graph, tensor, shape), graph.type);
  if (tensor.storage !== 'scaled') return value;
  const scales = float8Scales(graph, tensor.scale);
  const count = elementCount(scales.shape);
  if (count === 1) return graph.times(value, scales);
  return graph.times(value, graph.reshape(scales, [count, ...shape.slice(1).map(() => 1)]));
}

/** Trainers store adapters in a variety of dtypes; they always hold plain numbers, never quantized blocks. */
const adapterElementType: Partial<Record<StoredTensor['dtype'], ElementType>> = {
  ...elementType,
  F64: 'float64',
  I8: 'int8',
  I16: 'int16',
  I32: 'int32',
  I64: 'int64',
};

/** An adapter's tensor in the graph's dtype, reshaped if a shape is given. */
export function adapterValues(graph: Graph, tensor: StoredTensor, shape = tensor.shape): Value {
  const type = adapterElementType[tensor.dtype];
  if (!type)
    throw adapterInvalid(
      `${tensor.data.file} has "${tensor.name}" as ${tensor.dtype}, which is not supported.`,
    );
  const name = tensor.name + (tensor.rows ?? '');
  return graph.castWeight(graph.weight(name, type, shape, tensor.data), graph.type);
}

/** x W^T + b: [M, K] -> [M, N] */
export function product(graph: Graph, x: Value, tensor: StoredTensor, bias: Value | undefined): Value {
  if (tensor.storage === 'blocks') {
    const { scale, zeroPoints } = tensor;
    const zeros = zeroPoints && (zeroPoints.dtype === 'U8' ? stored : values)(graph, zeroPoints);
    return graph.linearBlocks(x, stored(graph, tensor), values(graph, scale), zeros, bias);
  }
  const { shape } = tensor;
  const seenAs = shape.length === 4 ? matrixShape(tensor) : shape;
  const weight = graph.castWeight(stored(graph, tensor, seenAs), graph.type);
  if (tensor.storage === 'plain') return graph.linear(x, weight, bias);
  // Scaling the outputs is cheaper than scaling the weights: [M, N] * [N] or [1]
  const scaled = graph.times(graph.linear(x, weight, undefined), float8Scales(graph, tensor.scale));
  return bias ? graph.plus(scaled, bias) : scaled;
}

/** Rows of a table: int64 [L] -> [L, width]. Only the selected rows are converted. */
export function takenRows(graph: Graph, table: StoredTensor, indices: Value): Value {
  if (table.storage === 'blocks' && table.zeroPoints) {
    throw invalidFile(`${table.data.file} has "${table.name}" in 4 bits, but it is a table.`);
  }
  const { dtype } = table;
  if (table.storage !== 'blocks' && isFloat8(dtype)) return takenFloat8(graph, table, dtype, indices);
  const rows = graph.cast(graph.gather(stored(graph, table), indices), graph.type);
  if (table.storage !== 'blocks') return rows;
  // [L, blocks, block] - 128, times [L, blocks, 1]
  const scales = graph.gather(values(graph, table.scale), indices);
  const centred = graph.minus(rows, graph.floats([zeroPoint], []));
  const scaled = graph.times(centred, graph.reshape(scales, [...scales.shape, 1]));
  return graph.reshape(scaled, [sizeAlong(indices, 0), matrixShape(table)[1]]);
}

/**
 * ONNX Runtime cannot gather float8, so gather the bytes, then look each up among the 256 values a byte can
 * have.
 */
function takenFloat8(graph: Graph, table: PlainTensor | ScaledTensor, dtype: Float8, indices: Value): Value {
  const { name, shape, data } = table;
  const codes = graph.gather(graph.weight(`${name}:bytes`, 'uint8', shape, data), indices);
  const taken = graph.gather(graph.floats(float8Values(dtype)), graph.cast(codes, 'int64'));
  if (table.storage === 'plain') return taken;
  const scales = float8Scales(graph, table.scale);
  const isOne = elementCount(scales.shape) === 1;
  const factors = isOne ? scales : graph.reshape(graph.gather(scales, indices), [sizeAlong(indices, 0), 1]);
  return graph.times(taken, factors);
}

/** [1] or [rows], whatever axes the file uses. */
function float8Scales(graph: Graph, scale: PlainTensor): Value {
  return values(graph, scale, [elementCount(scale.shape)]);
}

function stored(graph: Graph, tensor: StoredTensor, seenAs = tensor.shape): Value {
  const name = tensor.name + (tensor.rows ?? '');
  return graph.weight(name, typeOf(tensor), seenAs, tensor.data);
}

function typeOf({ name, dtype, data }: StoredTensor): ElementType {
  const type = elementType[dtype];
  if (!type) throw invalidFile(`${data.file} has "${name}" as ${dtype}, which is not supported.`);
  return type;
}
