import type { DType } from '../../shared/safetensors.ts';
import type { ConvolutionOptions, Graph } from '../graph/graph.ts';
import { type ElementType, elementCount, type Value } from '../graph/value.ts';
import type { Adapter, Branch } from './adapter.ts';
import { countIndices } from './diffusers.ts';
import type { WeightsFile } from './file.ts';
import { float8Values } from './float8.ts';
import { describeTensor, invalidFile, matrixShape, rowsOf, type StoredTensor } from './tensor.ts';

const elementType: Partial<Record<DType, ElementType>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  F8_E4M3: 'float8e4m3',
  U8: 'uint8',
};

/** The zero point of 8-bit blocks. */
const zeroPoint = 128;

/** An adapter in a graph: how strongly it works is known when the graph runs. */
export interface ScaledAdapter {
  readonly adapter: Adapter;
  /** [1] */
  readonly scale: Value;
}

/**
 * Layers of a graph whose weights lie in a file, named as black-forest-labs does. How a weight is stored (float32, 16 bits, float8,
 * 8-bit blocks) decides which nodes are made of it; what is computed and comes out is float32 always, so nothing has to be clamped
 * as the published fp16 code does. ONNX Runtime's CPU provider casts float8 in place as fast as bfloat16: 3.6 ns a weight.
 */
export class Layers {
  readonly graph: Graph;
  readonly #file: WeightsFile;
  readonly #adapters: readonly ScaledAdapter[];
  readonly #prefix: string;

  constructor(graph: Graph, file: WeightsFile, adapters: readonly ScaledAdapter[] = [], prefix = '') {
    this.graph = graph;
    this.#file = file;
    this.#adapters = adapters;
    this.#prefix = prefix;
  }

  /** The layers under a name: `at('double_blocks.0').linear('img_mlp.0', x)`. */
  at(name: string): Layers {
    return new Layers(this.graph.at(name), this.#file, this.#adapters, `${this.#prefix}${name}.`);
  }

  /**
   * `name.0`, `name.1` and so on, as far as the file goes.
   * @param member a tensor that each must have
   * @throws CodedError `model-file-invalid` with the first that is missing
   */
  list(name: string, member: string): Layers[] {
    const count = countIndices(this.#file.names, this.#prefix + name);
    return Array.from({ length: count }, (_, i) => {
      this.#file.parts(`${this.#prefix}${name}.${i}.${member}`);
      return this.at(`${name}.${i}`);
    });
  }

  has(name: string): boolean {
    return this.#file.has(this.#prefix + name);
  }

  /** The shape of a tensor; 8-bit blocks count as the matrix that they hold. */
  shape(name: string): readonly number[] {
    const parts = this.#parts(name);
    const { dtype, shape } = parts[0]!;
    const rows = parts.reduce((sum, part) => sum + (part.shape[0] ?? 0), 0);
    return dtype === 'U8' ? [rows, elementCount(shape.slice(1))] : [rows, ...shape.slice(1)];
  }

  /** A tensor as float32, optionally seen in another shape. */
  parameter(name: string, shape?: readonly number[]): Value {
    const tensor = this.#file.get(this.#prefix + name);
    return this.#adapted(name, this.#float(tensor, shape), 0, tensor.shape[0] ?? 1, shape);
  }

  /**
   * `x W^T + b` with `name.weight` and `name.bias`: [M, K] -> [M, N]. A 1x1 convolution is one as well.
   * @param outputs N, where it is known
   * @throws CodedError `model-file-invalid` with the file and the tensor
   */
  linear(name: string, x: Value, outputs = this.shape(`${name}.weight`)[0]!): Value {
    return this.linears(name, x, [outputs])[0]!;
  }

  /** The same in parts of these sizes: [M, K] -> [M, sizes[0]], [M, sizes[1]], ... Each is computed from its own rows of W. */
  linears(name: string, x: Value, sizes: readonly number[]): Value[] {
    const rows = sizes.reduce((sum, size) => sum + size, 0);
    let begin = 0;
    return sizes.map((count) => {
      const y = this.#rowsOfLinear(name, x, { begin, count, rows });
      begin += count;
      return y;
    });
  }

  convolution(name: string, x: Value, options?: ConvolutionOptions): Value {
    const graph = this.graph.at(name);
    return graph.convolution(x, this.parameter(`${name}.weight`), this.parameter(`${name}.bias`), options);
  }

  /** Rows of `name.weight`: int64 [L] -> [L, width]. Only what is taken is converted. */
  embedding(name: string, indices: Value): Value {
    const graph = this.graph.at(name);
    const stored = this.#file.get(`${this.#prefix}${name}.weight`);
    if (stored.dtype === 'F8_E4M3') return this.#embedding8(graph, stored, indices);
    const rows = graph.cast(graph.gather(this.#weight(stored), indices), 'float32');
    if (stored.dtype !== 'U8') return rows;
    // [L, blocks, block] - 128, times [L, blocks, 1]
    const scales = graph.gather(this.#float(stored.scale!), indices);
    const centred = graph.minus(rows, graph.floats([zeroPoint], []));
    const values = graph.times(centred, graph.reshape(scales, [...scales.shape, 1]));
    return graph.reshape(values, [indices.shape[0]!, elementCount(stored.shape.slice(1))]);
  }

  layerNorm(name: string, x: Value, epsilon: number): Value {
    const [scale, bias] = [this.parameter(`${name}.weight`), this.parameter(`${name}.bias`)];
    return this.graph.at(name).layerNorm(x, scale, bias, epsilon);
  }

  /** RMS norm over the last axis with the tensor `name` as its scale. */
  rmsNorm(name: string, x: Value, epsilon: number): Value {
    return this.graph.at(name).rmsNorm(x, this.parameter(name), epsilon);
  }

  #parts(name: string): readonly StoredTensor[] {
    return this.#file.parts(this.#prefix + name);
  }

  #rowsOfLinear(name: string, x: Value, part: RowRange): Value {
    const graph = this.graph.at(name);
    const weight = this.#rows(`${name}.weight`, part, x.shape[1]);
    const bias = this.#file.hasBiases ? this.#biasRows(`${name}.bias`, part) : undefined;
    const base = this.#product(graph, x, weight, bias);
    let y = base;
    for (const { adapter, scale } of this.#adapters) {
      const full = `${this.#prefix}${name}.weight`;
      for (const { begin, tensor } of adapter.replacements.get(full) ?? []) {
        const rows = overlap(begin, tensor, part);
        if (!rows) continue;
        const replaced = this.#product(graph, x, rows, bias);
        y = graph.plus(y, graph.times(scale, graph.minus(replaced, base)));
      }
      for (const branch of adapter.branches.get(full) ?? []) {
        const up = overlap(branch.begin, branch.up, part);
        if (!up) continue;
        // Where several parts share A, ONNX Runtime finds the product with it once (common subexpressions).
        const down = this.#float(branch.down);
        const strength = this.#branchScale(scale, branch);
        y = graph.lowRank(y, x, down, this.#float(up), strength);
        const bias = branch.bias && overlap(branch.begin, branch.bias, part);
        if (bias) y = graph.plus(y, graph.times(strength, this.#float(bias)));
      }
    }
    return y;
  }

  /** `scale * alpha * factor`: [1] */
  #branchScale(scale: Value, { alpha, factor }: Branch): Value {
    const scaled = factor === 1 ? scale : this.graph.times(scale, this.graph.floats([factor]));
    if (!alpha) return scaled;
    // Trainers store it as whatever number they had.
    const type = alpha.dtype === 'I64' ? 'int64' : this.#typeOf(alpha);
    const stored = this.graph.weight(alpha.name, type, [1], alpha.data);
    return this.graph.times(scaled, this.graph.castWeight(stored, 'float32'));
  }

  #biasRows(name: string, part: RowRange): Value {
    const bias = this.#float(this.#rows(name, part));
    return this.#adapted(name, bias, part.begin, part.count);
  }

  /** What adapters that bring another tensor make of one: `p + scale * (p' - p)`. */
  #adapted(name: string, value: Value, begin: number, count: number, shape?: readonly number[]): Value {
    let adapted = value;
    for (const { adapter, scale } of this.#adapters) {
      for (const replacement of adapter.replacements.get(this.#prefix + name) ?? []) {
        const rows = overlap(replacement.begin, replacement.tensor, { begin, count });
        if (!rows) continue;
        const difference = this.graph.minus(this.#float(rows, shape), value);
        adapted = this.graph.plus(adapted, this.graph.times(scale, difference));
      }
    }
    return adapted;
  }

  /** x W^T + b of one stored matrix. */
  #product(graph: Graph, x: Value, tensor: StoredTensor, bias: Value | undefined): Value {
    const { dtype, shape, scale } = tensor;
    if (dtype === 'U8') return graph.linear8(x, this.#weight(tensor), this.#float(scale!), bias);
    const seenAs = shape.length === 4 ? matrixShape(tensor) : shape;
    const weight = graph.castWeight(this.#weight(tensor, seenAs), 'float32');
    if (!scale) return graph.linear(x, weight, bias);
    // The outputs are fewer than the weights: [M, N] * [N] or [1]
    const scaled = graph.times(
      graph.linear(x, weight, undefined),
      this.#float(scale, [elementCount(scale.shape)]),
    );
    return bias ? graph.plus(scaled, bias) : scaled;
  }

  /** A gather of float8 is not in ONNX: of its bytes, and then of the 256 values that a byte can mean. */
  #embedding8(graph: Graph, { name, shape, data, scale }: StoredTensor, indices: Value): Value {
    const codes = graph.gather(graph.weight(`${name}:bytes`, 'uint8', shape, data), indices);
    const values = graph.gather(graph.floats(float8Values()), graph.cast(codes, 'int64'));
    if (!scale) return values;
    const scales = this.#float(scale, [elementCount(scale.shape), 1]);
    return graph.times(values, elementCount(scale.shape) === 1 ? scales : graph.gather(scales, indices));
  }

  /** Rows of a tensor that lie in one of its parts. */
  #rows(name: string, { begin, count, rows }: RowRange, columns = 1): StoredTensor {
    const parts = this.#parts(name);
    const stored = parts.reduce((sum, part) => sum + matrixShape(part)[0], 0);
    for (const part of parts) {
      if (stored !== rows || matrixShape(part)[1] !== columns) {
        const wanted = columns === 1 ? `[${rows}]` : `[${rows}, ${columns}]`;
        throw invalidFile(
          `${part.data.file} has "${part.name}" as ${describeTensor(part)}, of "${this.#prefix}${name}" that has to be ${wanted}.`,
        );
      }
    }
    let first = 0;
    for (const part of parts) {
      const [size] = matrixShape(part);
      if (begin >= first && begin + count <= first + size) return rowsOf(part, begin - first, count);
      first += size;
    }
    const sizes = parts.map((part) => `"${part.name}" ${describeTensor(part)}`).join(', ');
    throw invalidFile(
      `${this.#file.file} has the rows ${begin} to ${begin + count} of "${this.#prefix}${name}" not in one tensor, but in ${sizes}.`,
    );
  }

  /** A stored tensor as float32. */
  #float(tensor: StoredTensor, shape = tensor.shape): Value {
    const value = this.graph.castWeight(this.#weight(tensor, shape), 'float32');
    if (!tensor.scale || tensor.dtype === 'U8') return value;
    const count = elementCount(tensor.scale.shape);
    const perRow = [count, ...new Array<number>(Math.max(0, shape.length - 1)).fill(1)];
    return this.graph.times(value, this.#float(tensor.scale, perRow));
  }

  #weight(tensor: StoredTensor, seenAs = tensor.shape): Value {
    return this.graph.weight(tensor.name, this.#typeOf(tensor), seenAs, tensor.data);
  }

  #typeOf({ name, dtype, data }: StoredTensor): ElementType {
    const type = elementType[dtype];
    if (!type) throw invalidFile(`${data.file} has "${name}" as ${dtype}, which cannot be computed with.`);
    return type;
  }
}

interface RowRange {
  readonly begin: number;
  readonly count: number;
  /** Of the whole tensor. */
  readonly rows: number;
}

/** The rows that a tensor which starts at row `first` has for a range. */
function overlap(
  first: number,
  tensor: StoredTensor,
  { begin, count }: Omit<RowRange, 'rows'>,
): StoredTensor | undefined {
  const [rows] = tensor.shape as [number];
  if (first >= begin + count || first + rows <= begin) return undefined;
  if (first <= begin && first + rows >= begin + count) return rowsOf(tensor, begin - first, count);
  throw new Error(
    `"${tensor.name}" is for rows ${first} to ${first + rows}, not ${begin} to ${begin + count}`,
  );
}
