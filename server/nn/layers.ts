import { countIndices } from '../checkpoints/key-map.ts';
import { type Changes, formRows, rowsWithin, type WeightChange } from '../checkpoints/lora/change.ts';
import {
  describeTensor,
  invalidFile,
  matrixShape,
  rowsOf,
  type StoredTensor,
} from '../checkpoints/tensor.ts';
import type { WeightsFile } from '../checkpoints/weights-file.ts';
import type { ConvolutionOptions, Graph } from '../graph/graph.ts';
import { type Each, mapTuple, sizeAlong, type Value } from '../graph/value.ts';
import { deltaProduct } from './adapter-forms.ts';
import { adapterValues, product, takenRows, values } from './stored-weights.ts';

/** The name of the input for an adapter's strength. */
export function adapterInput(id: string): string {
  return `adapter ${id}`;
}

/** What an adapter changes in a network; its strength is an input of the graph. */
export interface ScaledChanges {
  readonly changes: Changes;
  /** [1] */
  readonly scale: Value;
}

/** The activation fused with a layer's output. */
export type Activation = 'none' | 'gelu';

/** Rows of a tensor. */
interface RowRange {
  readonly begin: number;
  readonly count: number;
}

/**
 * Layers of a graph over weights in a file, under black-forest-labs' names, plus what adapters add to them.
 * Everything is computed in the graph's dtype, however the weights are stored.
 */
export class Layers {
  readonly graph: Graph;
  readonly #file: WeightsFile;
  readonly #adapters: readonly ScaledChanges[];
  readonly #prefix: string;

  constructor(graph: Graph, file: WeightsFile, adapters: readonly ScaledChanges[] = [], prefix = '') {
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
   * `name.0`, `name.1` and so on, as many as the file has.
   * @param member a tensor that each must have
   * @throws CodedError `model-file-invalid` with the first one that is missing
   */
  list(name: string, member: string): Layers[] {
    const count = countIndices(this.#file.names, this.#prefix + name);
    return Array.from({ length: count }, (_, i) => {
      this.#parts(`${name}.${i}.${member}`);
      return this.at(`${name}.${i}`);
    });
  }

  /** True even if the layer only has a bias: a missing weight is reported, rather than the layer skipped. */
  has(name: string): boolean {
    const full = this.#prefix + name;
    return this.#file.has(full) || this.#file.has(full.replace(/\.weight$/, '.bias'));
  }

  /** The shape of a tensor; quantized blocks count as the matrix that they hold. */
  shape(name: string): readonly number[] {
    const parts = this.#parts(name);
    const [first] = parts;
    const rows = parts.reduce((sum, part) => sum + (part.shape[0] ?? 0), 0);
    if (!first) return [rows];
    return first.storage === 'blocks' ? [rows, matrixShape(first)[1]] : [rows, ...first.shape.slice(1)];
  }

  /** A tensor in the graph's dtype, reshaped if a shape is given. */
  parameter(name: string, shape?: readonly number[]): Value {
    const tensor = this.#file.get(this.#prefix + name);
    return this.#replaced(name, tensor, { begin: 0, count: tensor.shape[0] ?? 1 }, shape);
  }

  /**
   * `x W^T + b` with `name.weight` and `name.bias`: [M, K] -> [M, N]. Works for 1x1 convolutions too.
   * @param outputs N, if known
   * @throws CodedError `model-file-invalid` with the file and the tensor
   */
  linear(name: string, x: Value, outputs = this.#outputs(name)): Value {
    const [y] = this.linears(name, x, [outputs]);
    return y;
  }

  /**
   * The same, split: [M, K] -> [M, sizes[0]], [M, sizes[1]], ... Each output is computed from its own rows of
   * W, so it makes no difference whether a file stores them in one tensor or in several.
   * @param last the activation of the last output
   */
  linears<const Sizes extends readonly number[]>(
    name: string,
    x: Value,
    sizes: Sizes,
    last: Activation = 'none',
  ): Each<Sizes, Value> {
    const outputs = sizes.reduce((sum, size) => sum + size, 0);
    this.#check(`${name}.weight`, [outputs, sizeAlong(x, 1)]);
    if (this.#file.hasBiases) this.#check(`${name}.bias`, [outputs]);
    let begin = 0;
    return mapTuple(sizes, (count, i) => {
      const y = this.#rowsOfLinear(name, x, { begin, count }, i === sizes.length - 1 ? last : 'none');
      begin += count;
      return y;
    });
  }

  /** A linear layer followed by the tanh approximation of GELU: [M, K] -> [M, N] */
  linearGelu(name: string, x: Value): Value {
    const [y] = this.linears(name, x, [this.#outputs(name)], 'gelu');
    return y;
  }

  convolution(name: string, x: Value, options?: ConvolutionOptions): Value {
    const graph = this.graph.at(name);
    return graph.convolution(x, this.parameter(`${name}.weight`), this.parameter(`${name}.bias`), options);
  }

  /** Rows of `name.weight`: int64 [L] -> [L, width]. Only the selected rows are converted. */
  embedding(name: string, indices: Value): Value {
    return takenRows(this.graph.at(name), this.#file.get(`${this.#prefix}${name}.weight`), indices);
  }

  layerNorm(name: string, x: Value, epsilon: number): Value {
    const [scale, bias] = [this.parameter(`${name}.weight`), this.parameter(`${name}.bias`)];
    return this.graph.at(name).layerNorm(x, scale, bias, epsilon);
  }

  /** RMS norm over the last axis, with the tensor `name` as its scale. */
  rmsNorm(name: string, x: Value, epsilon: number): Value {
    return this.graph.at(name).rmsNorm(x, this.parameter(name), epsilon);
  }

  /** Rows of `name.weight`. */
  #outputs(name: string): number {
    const [outputs = 0] = this.shape(`${name}.weight`);
    return outputs;
  }

  #parts(name: string): readonly StoredTensor[] {
    return this.#file.parts(this.#prefix + name);
  }

  #check(name: string, wanted: readonly number[]): void {
    const parts = this.#parts(name);
    const rows = parts.reduce((sum, part) => sum + matrixShape(part)[0], 0);
    const wrong = parts.find((part) => rows !== wanted[0] || matrixShape(part)[1] !== (wanted[1] ?? 1));
    if (!wrong) return;
    throw invalidFile(
      `${wrong.data.file} has "${wrong.name}" as ${describeTensor(wrong)}, but "${this.#prefix}${name}" must be [${wanted.join(', ')}].`,
    );
  }

  #rows(name: string, { begin, count }: RowRange): StoredTensor {
    let first = 0;
    for (const part of this.#parts(name)) {
      const [size] = matrixShape(part);
      if (begin >= first && begin + count <= first + size) return rowsOf(part, begin - first, count);
      first += size;
    }
    throw invalidFile(
      `${this.#file.file} has the rows ${begin} to ${begin + count} of "${this.#prefix}${name}" in several tensors.`,
    );
  }

  #rowsOfLinear(name: string, x: Value, range: RowRange, activation: Activation): Value {
    const graph = this.graph.at(name);
    const ownBias = this.#file.hasBiases
      ? this.#replaced(`${name}.bias`, this.#rows(`${name}.bias`, range), range)
      : undefined;
    const bias = activation === 'gelu' ? undefined : ownBias;
    const base = product(graph, x, this.#rows(`${name}.weight`, range), bias);
    let y = base;
    for (const { changes, scale } of this.#adapters) {
      for (const change of changes.get(`${this.#prefix}${name}.weight`) ?? []) {
        const rows = rowsWithin(change, range);
        if (!rows) continue;
        if (change.kind === 'weight') {
          const weight = this.#rows(`${name}.weight`, range);
          y = withChange(graph, { y, base, bias, x, weight }, change, scale, rows);
          continue;
        }
        const tensor = rowsOf(change.tensor, rows.from, rows.count);
        const other = graph.linear(
          x,
          adapterValues(graph, tensor),
          change.kind === 'replacement' ? bias : undefined,
        );
        const difference = change.kind === 'replacement' ? graph.minus(other, base) : other;
        y = graph.plus(y, graph.times(scale, difference));
      }
    }
    return activation === 'gelu' ? graph.geluTanh(y, ownBias) : y;
  }

  /**
   * A tensor with the adapters applied: `p + scale * d`, or `p + scale * (p' - p)` for one that is replaced.
   */
  #replaced(name: string, tensor: StoredTensor, range: RowRange, shape?: readonly number[]): Value {
    const base = values(this.graph, tensor, shape);
    let value = base;
    for (const { changes, scale } of this.#adapters) {
      for (const change of changes.get(this.#prefix + name) ?? []) {
        const rows = rowsWithin(change, range);
        if (!rows || change.kind === 'weight') continue;
        const part = rowsOf(change.tensor, rows.from, rows.count);
        const other = adapterValues(this.graph, part, base.shape);
        const difference = change.kind === 'replacement' ? this.graph.minus(other, base) : other;
        value = this.graph.plus(value, this.graph.times(scale, difference));
      }
    }
    return value;
  }
}

interface LayerValues {
  /** The layer's output with the adapters so far, and without any. */
  readonly y: Value;
  readonly base: Value;
  /** The bias that `base` includes. */
  readonly bias: Value | undefined;
  readonly x: Value;
  readonly weight: StoredTensor;
}

/** `y + scale * (W' x - W x)`, for those rows of the change that are among the layer's. */
function withChange(
  graph: Graph,
  { y, base, bias, x, weight }: LayerValues,
  change: WeightChange,
  scale: Value,
  rows: { readonly from: number; readonly count: number },
): Value {
  const { form, magnitude, gain, factor, columns } = change;
  if (magnitude) {
    if (!gain) throw new Error('The norms of a DoRA were not computed');
    return graph.plus(
      y,
      graph.times(scale, decomposed(graph, { base, bias, x, weight }, change, gain, rows)),
    );
  }
  if (form.kind !== 'low-rank' || columns !== undefined || change.bias) {
    return graph.plus(y, graph.times(scale, deltaProduct(graph, x, change, rows)));
  }
  // If several parts of a layer share A, ONNX Runtime computes its product only once (common subexpression
  // elimination).
  const strength = factor === 1 ? scale : graph.times(scale, graph.floats([factor]));
  const { up, down } = formRows(form, rows.from, rows.count) as typeof form;
  return graph.lowRank(y, x, adapterValues(graph, down), adapterValues(graph, up), strength);
}

/**
 * W' x - W x for DoRA, W' = g (W + ΔW) with g = magnitude / norm: over rows (g - 1) W x + g ΔW x (PEFT,
 * tuners/lora/dora.py), over columns W ((g - 1) x) + ΔW (g x).
 */
function decomposed(
  graph: Graph,
  { base, bias, x, weight }: Omit<LayerValues, 'y'>,
  change: WeightChange,
  gain: Float32Array,
  { from, count }: { readonly from: number; readonly count: number },
): Value {
  if (change.magnitude?.axis === 'columns') {
    const less = graph.floats([...gain].map((g) => g - 1));
    const delta = deltaProduct(graph, graph.times(x, graph.floats([...gain])), change, { from, count });
    return graph.plus(product(graph, graph.times(x, less), weight, undefined), delta);
  }
  const own = [...gain.subarray(from, from + count)];
  const plain = bias ? graph.minus(base, bias) : base;
  const scaled = graph.times(plain, graph.floats(own.map((g) => g - 1)));
  return graph.plus(scaled, graph.times(deltaProduct(graph, x, change, { from, count }), graph.floats(own)));
}
