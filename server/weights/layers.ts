import type { DType } from '../../shared/safetensors.ts';
import type { ConvolutionOptions, Graph } from '../graph/graph.ts';
import { type ElementType, elementCount, type Value } from '../graph/value.ts';
import { invalidFile, type StoredTensor, type WeightsFile } from './file.ts';

const elementType: Partial<Record<DType, ElementType>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  U8: 'uint8',
};

/** The zero point of 8-bit blocks. */
const zeroPoint = 128;

/**
 * Layers of a graph whose weights lie in a file, named as there. How a weight is stored (float32, 16 bits, 8-bit blocks) decides
 * which nodes are made of it; what comes out is float32 always.
 */
export class Layers {
  readonly graph: Graph;
  readonly #file: WeightsFile;
  readonly #prefix: string;

  constructor(graph: Graph, file: WeightsFile, prefix = '') {
    this.graph = graph;
    this.#file = file;
    this.#prefix = prefix;
  }

  /** The layers under a name: `at('double_blocks.0').linear('img_mlp.0', x)`. */
  at(name: string): Layers {
    return new Layers(this.graph.at(name), this.#file, `${this.#prefix}${name}.`);
  }

  /** `name.0`, `name.1` and so on, as long as there is a tensor `member` in it. */
  list(name: string, member: string): Layers[] {
    const found: Layers[] = [];
    while (this.has(`${name}.${found.length}.${member}`)) found.push(this.at(`${name}.${found.length}`));
    return found;
  }

  has(name: string): boolean {
    return this.#file.has(this.#prefix + name);
  }

  /** The shape of a tensor; 8-bit blocks count as the matrix that they hold. */
  shape(name: string): readonly number[] {
    const { dtype, shape } = this.#stored(name);
    return dtype === 'U8' ? [shape[0]!, elementCount(shape.slice(1))] : shape;
  }

  /** A tensor as float32, optionally seen in another shape. */
  parameter(name: string, shape?: readonly number[]): Value {
    return this.graph.castWeight(this.#weight(this.#stored(name), shape), 'float32');
  }

  /** `x W^T + b` with `name.weight` and, if it is there, `name.bias`: [M, K] -> [M, N]. A 1x1 convolution is one as well. */
  linear(name: string, x: Value): Value {
    const graph = this.graph.at(name);
    const bias = this.has(`${name}.bias`) ? this.parameter(`${name}.bias`) : undefined;
    const stored = this.#stored(`${name}.weight`);
    if (stored.dtype === 'U8') return graph.linear8(x, this.#weight(stored), this.#scales(name), bias);
    const isPointwise = stored.shape.length === 4 && stored.shape[2] === 1 && stored.shape[3] === 1;
    const weight = this.parameter(`${name}.weight`, isPointwise ? stored.shape.slice(0, 2) : undefined);
    return graph.linear(x, weight, bias);
  }

  convolution(name: string, x: Value, options?: ConvolutionOptions): Value {
    const graph = this.graph.at(name);
    return graph.convolution(x, this.parameter(`${name}.weight`), this.parameter(`${name}.bias`), options);
  }

  /** Rows of `name.weight`: int64 [L] -> [L, width]. Only what is taken is converted. */
  embedding(name: string, indices: Value): Value {
    const graph = this.graph.at(name);
    const stored = this.#stored(`${name}.weight`);
    const rows = graph.cast(graph.gather(this.#weight(stored), indices), 'float32');
    if (stored.dtype !== 'U8') return rows;
    // [L, blocks, block] - 128, times [L, blocks, 1]
    const scales = graph.gather(this.#scales(name), indices);
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

  #stored(name: string): StoredTensor {
    return this.#file.get(this.#prefix + name);
  }

  #scales(name: string): Value {
    return this.parameter(`${name}.weight.scales`);
  }

  #weight({ name, dtype, shape, data }: StoredTensor, seenAs = shape): Value {
    const type = elementType[dtype];
    if (!type)
      throw invalidFile(`${this.#file.file} has "${name}" as ${dtype}, which cannot be computed with.`);
    return this.graph.weight(name, type, seenAs, data);
  }
}
