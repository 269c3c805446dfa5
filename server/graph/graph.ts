import { CodedError } from '../../shared/errors.ts';
import { elementCount } from '../../shared/safetensors.ts';
import type { ByteRange } from '../disk/byte-range.ts';
import { type Attribute, dataType, encodeModel, type Initializer, type Model, type Node } from './encode.ts';
import { type ComputeDType, float32, type Precision } from './precision.ts';
import {
  bytesPerElement,
  describe,
  type Each,
  type ElementType,
  isOpen,
  mapTuple,
  sizeAlong,
  type Value,
} from './value.ts';

/** An operator's output before it has a name. */
interface Shaped {
  readonly type: ElementType;
  readonly shape: readonly number[];
}

interface NodeOptions {
  readonly domain?: 'com.microsoft';
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export interface AttentionOptions {
  readonly heads: number;
  /** Scale of the softmax; 1 / sqrt(head size) by default. */
  readonly scale?: number;
  /** Added before the softmax, [1, heads, queries, keys]. */
  readonly bias?: Value;
  /** Whether queries only attend to keys up to their own position. */
  readonly isCausal?: boolean;
}

/** Scores that composed attention holds at a time: 256 MB in float32. */
const scoresAtOnce = 2 ** 26;

export interface ConvolutionOptions {
  readonly stride?: number;
  /** Rows and columns of zeros at the top, left, bottom and right. */
  readonly pads?: readonly [number, number, number, number];
}

interface Parts {
  readonly name: string;
  readonly precision: Precision;
  readonly inputs: Value[];
  readonly outputs: Value[];
  readonly initializers: Map<string, Initializer>;
  /** Casts of weights. They precede all other nodes, so ONNX Runtime runs each just before its use. */
  readonly casts: Map<string, { readonly node: Node; readonly value: Value }>;
  readonly nodes: Node[];
  readonly values: Map<string, Value>;
  readonly taken: Map<string, number>;
}

/**
 * An ONNX graph (opset 20 and com.microsoft 1), built in the order of computation. Every operator is a method that checks its
 * inputs' shapes and returns its output, so weights that do not fit are rejected before anything is loaded.
 */
export class Graph {
  readonly #parts: Parts;
  readonly #scope: string;

  private constructor(parts: Parts, scope: string) {
    this.#parts = parts;
    this.#scope = scope;
  }

  static create(name: string, precision: Precision = float32): Graph {
    const parts = {
      name,
      precision,
      inputs: [],
      outputs: [],
      initializers: new Map(),
      casts: new Map(),
      nodes: [],
      values: new Map(),
      taken: new Map(),
    };
    return new Graph(parts, '');
  }

  /** The dtype the graph computes in: weights are cast to it, and constants have it. */
  get type(): ComputeDType {
    return this.#parts.precision.type;
  }

  /** The same graph; nodes added through the result have `scope` as a prefix of their names. */
  at(scope: string): Graph {
    return new Graph(this.#parts, this.#scope === '' ? scope : `${this.#scope}.${scope}`);
  }

  input(name: string, type: ElementType, shape: readonly number[]): Value {
    const value = { name, type, shape };
    this.#parts.inputs.push(value);
    return this.#keep(value);
  }

  output(name: string, value: Value): void {
    this.#parts.outputs.push(...this.#append('Identity', [value], [{ ...value, name }], {}, name));
  }

  /** Adds a weight that stays in its file. Asking again for the same name returns the same weight. */
  weight(name: string, type: ElementType, shape: readonly number[], data: ByteRange): Value {
    const wanted = elementCount(shape) * bytesPerElement[type];
    if (wanted !== data.length) {
      throw this.#mismatch('Weight', name, `${type} [${shape.join(', ')}] but ${data.length} bytes`);
    }
    return this.#initializer({ value: { name, type, shape }, data });
  }

  /** Adds a small constant to the model, in the graph's dtype. */
  floats(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    return this.castWeight(this.#constant('float32', shape, bytes, values), this.type);
  }

  integers(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    const broken = values.find((value) => !Number.isSafeInteger(value));
    if (broken !== undefined) throw this.#mismatch('Constant', '', `${broken} for a whole number`);
    return this.#constant('int64', shape, new Uint8Array(BigInt64Array.from(values, BigInt).buffer), values);
  }

  /** Builds the model for ONNX Runtime. */
  finish(): Model {
    const { name, inputs, outputs, initializers, casts, nodes, values } = this.#parts;
    const allNodes = [...[...casts.values()].map(({ node }) => node), ...nodes];
    return encodeModel(name, {
      inputs,
      outputs,
      initializers: [...initializers.values()],
      nodes: allNodes,
      values,
    });
  }

  /** Adds any node. The thin methods below check their inputs and compute the output shapes. */
  add<const Outputs extends readonly Shaped[]>(
    op: string,
    inputs: readonly (Value | undefined)[],
    outputs: Outputs,
    options: NodeOptions = {},
  ): Each<Outputs, Value> {
    const stem = this.#unique(this.#scope === '' ? op : `${this.#scope}.${op}`);
    const values = mapTuple(outputs, ({ type, shape }, i) => {
      return { name: outputs.length === 1 ? stem : `${stem}:${i}`, type, shape };
    });
    return this.#append(op, inputs, values, options, stem);
  }

  // Elementwise, with broadcasting.

  plus(a: Value, b: Value): Value {
    return this.#one('Add', [a, b], this.#broadcast('Add', a, b));
  }

  minus(a: Value, b: Value): Value {
    return this.#one('Sub', [a, b], this.#broadcast('Sub', a, b));
  }

  times(a: Value, b: Value): Value {
    return this.#one('Mul', [a, b], this.#broadcast('Mul', a, b));
  }

  cast(x: Value, type: ElementType): Value {
    return x.type === type ? x : this.#one('Cast', [x], { type, shape: x.shape }, castTo(type));
  }

  /** Casts a float32 input (as all of ours are) to the graph's dtype. */
  given(name: string, shape: readonly number[]): Value {
    return this.cast(this.input(name, 'float32', shape), this.type);
  }

  /** Clamps to float16's range; does nothing in other dtypes. */
  withinFloat16(x: Value): Value {
    if (this.type !== 'float16') return x;
    return this.#one('Clip', [x, this.floats([-65504], []), this.floats([65504], [])], x);
  }

  /** A weight in another dtype, cast only once. */
  castWeight(weight: Value, type: ElementType): Value {
    if (weight.type === type) return weight;
    const name = `${weight.name}:${type}`;
    const { casts } = this.#parts;
    const known = casts.get(name);
    if (known) return known.value;
    const value = { name, type, shape: weight.shape };
    const { attributes } = castTo(type);
    const node = {
      op: 'Cast',
      domain: '',
      name,
      inputs: [weight.name],
      outputs: [name],
      attributes,
    } as const;
    casts.set(name, { node, value });
    return this.#keep(value);
  }

  // Activations.

  /**
   * The tanh form of GELU of `x + bias`. These are the widest values of the network: adding the bias in the same node saves a GPU one
   * read and write of them.
   * @param bias [N], for x [..., N]
   */
  geluTanh(x: Value, bias?: Value): Value {
    if (bias) this.#checkLast('FastGelu', x, bias);
    return this.#one('FastGelu', [x, bias], x, { domain: 'com.microsoft' });
  }

  /** `x * sigmoid(1.702 * x)` */
  quickGelu(x: Value): Value {
    return this.#one('QuickGelu', [x], x, {
      domain: 'com.microsoft',
      attributes: { alpha: { float: 1.702 } },
    });
  }

  /** `x * sigmoid(x)` */
  silu(x: Value): Value {
    return this.#one('QuickGelu', [x], x, { domain: 'com.microsoft', attributes: { alpha: { float: 1 } } });
  }

  // Shapes.

  reshape(x: Value, shape: readonly number[]): Value {
    if (elementCount(shape) !== elementCount(x.shape)) {
      throw this.#mismatch('Reshape', '', `${describe(x)} and [${shape.join(', ')}]`);
    }
    const wanted = this.integers(shape.map((size) => (isOpen(size) ? -1 : size)));
    return this.#one('Reshape', [x, wanted], { type: x.type, shape });
  }

  transpose(x: Value, order: readonly number[]): Value {
    if (order.length !== x.shape.length) {
      throw this.#mismatch('Transpose', '', `${describe(x)} with the order [${order.join(', ')}]`);
    }
    const shape = order.map((axis) => sizeAlong(x, axis));
    return this.#one('Transpose', [x], { type: x.type, shape }, { attributes: { perm: { ints: order } } });
  }

  concat(axis: number, values: readonly Value[]): Value {
    const [first, ...rest] = values;
    if (!first) throw this.#mismatch('Concat', '', 'nothing');
    for (const value of rest) {
      const fits = value.shape.every((size, i) => i === axis || size === first.shape[i]);
      if (!fits || value.shape.length !== first.shape.length || value.type !== first.type) {
        throw this.#mismatch('Concat', `axis ${axis}`, `${describe(first)} and ${describe(value)}`);
      }
    }
    const size = values.reduce((sum, value) => sum + sizeAlong(value, axis), 0);
    const shape = first.shape.with(axis, size);
    return this.#one('Concat', values, { type: first.type, shape }, { attributes: { axis: { int: axis } } });
  }

  /** Splits into parts of these sizes along an axis. */
  split<const Sizes extends readonly number[]>(x: Value, axis: number, sizes: Sizes): Each<Sizes, Value> {
    if (sizes.reduce((sum, size) => sum + size, 0) !== x.shape[axis]) {
      throw this.#mismatch('Split', `axis ${axis}`, `${describe(x)} and the sizes ${sizes.join(' + ')}`);
    }
    if (sizes.some(isOpen)) return this.#slices(x, axis, sizes);
    const outputs = mapTuple(sizes, (size) => ({ type: x.type, shape: x.shape.with(axis, size) }));
    const options = { attributes: { axis: { int: axis } } };
    return this.add('Split', [x, this.integers(sizes)], outputs, options);
  }

  /** Rows `begin`... of the first axis. */
  rows(x: Value, begin: number, count: number): Value {
    if (begin + count > sizeAlong(x, 0)) {
      throw this.#mismatch('Slice', '', `${describe(x)} and the rows ${begin} to ${begin + count}`);
    }
    return this.#slice(x, 0, begin, count);
  }

  /** Columns `begin`... of the second axis. */
  columns(x: Value, begin: number, count: number): Value {
    if (begin === 0 && count === x.shape[1]) return x;
    if (begin + count > (x.shape[1] ?? 0)) {
      throw this.#mismatch('Slice', '', `${describe(x)} and the columns ${begin} to ${begin + count}`);
    }
    return this.#slice(x, 1, begin, count);
  }

  /** Only the last size may be open. */
  #slices<const Sizes extends readonly number[]>(x: Value, axis: number, sizes: Sizes): Each<Sizes, Value> {
    let begin = 0;
    return mapTuple(sizes, (size) => {
      const part = this.#slice(x, axis, begin, size);
      begin += size;
      return part;
    });
  }

  /** Rows of a table: [N, ...] and int64 indices [...] -> [...indices, ...]. */
  gather(table: Value, indices: Value): Value {
    if (indices.type !== 'int64') {
      throw this.#mismatch('Gather', '', `${describe(table)} and ${describe(indices)}`);
    }
    const shape = [...indices.shape, ...table.shape.slice(1)];
    return this.#one('Gather', [table, indices], { type: table.type, shape });
  }

  // Matrix products.

  /** `x W^T + b` with PyTorch's [out, in]: [M, K], [N, K], [N] -> [M, N]. */
  linear(x: Value, weight: Value, bias: Value | undefined): Value {
    const [[rows, inputs], [outputs, columns]] = [x.shape, weight.shape];
    const isMatrix = rows !== undefined && outputs !== undefined && x.shape.length === 2;
    if (!isMatrix || weight.shape.length !== 2 || inputs !== columns || x.type !== weight.type) {
      throw this.#mismatch('Gemm', weight.name, `${describe(x)} and ${describe(weight)}`);
    }
    this.#checkBias('Gemm', outputs, bias);
    const output = { type: x.type, shape: [rows, outputs] };
    return this.#one('Gemm', [x, weight, bias], output, { attributes: { transB: { int: 1 } } });
  }

  /**
   * Adds a low-rank branch to a layer's output: `y + scale * (x A^T) B^T`.
   * @param y [M, N]
   * @param x [M, K]
   * @param down A, [rank, K]
   * @param up B, [N, rank]
   * @param scale one number, an input of the graph
   */
  lowRank(y: Value, x: Value, down: Value, up: Value, scale: Value): Value {
    const [rank = 0, inputs] = down.shape;
    if (
      x.shape[1] !== inputs ||
      up.shape[1] !== rank ||
      y.shape.join() !== [x.shape[0], up.shape[0]].join()
    ) {
      const what = [y, x, down, up].map(describe).join(', ');
      throw this.#mismatch('Gemm', down.name, what);
    }
    const attributes = { transB: { int: 1 } };
    const reduced = { type: x.type, shape: [sizeAlong(x, 0), rank] };
    const scaled = this.times(this.#one('Gemm', [x, down], reduced, { attributes }), scale);
    return this.#one('Gemm', [scaled, up, y], y, { attributes });
  }

  /**
   * Like `linear`, over blocks of codes: 8 bits with the zero point 128, or 4 bits with explicit zero points.
   * @param weight uint8 [N, K / block, block]; for 4 bits [N, K / block, block / 2]
   * @param scales in the dtype of `x`, [N, K / block]
   * @param zeroPoints only for 4 bits: uint8 [N, ceil(K / block / 2)], or in the dtype of `x` [N, K / block]
   */
  linearBlocks(
    x: Value,
    weight: Value,
    scales: Value,
    zeroPoints: Value | undefined,
    bias: Value | undefined,
  ): Value {
    const bits = zeroPoints ? 4 : 8;
    const [outputs = 0, blocks = 0, bytes = 0] = weight.shape;
    const block = (bytes * 8) / bits;
    const isFit = x.shape.length === 2 && x.shape[1] === blocks * block && weight.type === 'uint8';
    const zerosInRow = zeroPoints?.type === 'uint8' ? Math.ceil(blocks / 2) : blocks;
    const zerosFit = !zeroPoints || zeroPoints.shape.join() === [outputs, zerosInRow].join();
    if (!isFit || !zerosFit || scales.shape.join() !== [outputs, blocks].join()) {
      const what = [x, weight, scales, ...(zeroPoints ? [zeroPoints] : [])].map(describe).join(', ');
      throw this.#mismatch('MatMulNBits', weight.name, what);
    }
    this.#checkBias('MatMulNBits', outputs, bias);
    const attributes = {
      K: { int: blocks * block },
      N: { int: outputs },
      bits: { int: bits },
      block_size: { int: block },
      // Rounds activations to 8 bits as well: twice as fast on the CPU, with a relative error of 0.007.
      accuracy_level: { int: 4 },
    };
    const output = { type: x.type, shape: [sizeAlong(x, 0), outputs] };
    const inputs = [x, weight, scales, zeroPoints, undefined, bias];
    return this.#one('MatMulNBits', inputs, output, { domain: 'com.microsoft', attributes });
  }

  /** [1, C, H, W], [O, C, k, k], [O] -> [1, O, H', W'] */
  convolution(x: Value, weight: Value, bias: Value, options: ConvolutionOptions = {}): Value {
    const { stride = 1, pads = [0, 0, 0, 0] } = options;
    const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
    const [outputs = 0, inputs = 0, kernelHeight = 0, kernelWidth = 0] = weight.shape;
    if (weight.shape.length !== 4 || x.shape.length !== 4 || channels !== inputs || x.type !== weight.type) {
      throw this.#mismatch('Conv', weight.name, `${describe(x)} and ${describe(weight)}`);
    }
    this.#checkBias('Conv', outputs, bias);
    const size = (length: number, padding: number, kernel: number) =>
      Math.floor((length + padding - kernel) / stride) + 1;
    const shape = [
      batch,
      outputs,
      size(height, pads[0] + pads[2], kernelHeight),
      size(width, pads[1] + pads[3], kernelWidth),
    ];
    const attributes = { strides: { ints: [stride, stride] }, pads: { ints: pads } };
    return this.#one('Conv', [x, weight, bias], { type: x.type, shape }, { attributes });
  }

  // Normalization.

  /** Over the last axis. */
  layerNorm(x: Value, scale: Value, bias: Value | undefined, epsilon: number): Value {
    this.#checkLast('LayerNormalization', x, scale);
    if (bias) this.#checkLast('LayerNormalization', x, bias);
    const attributes = { axis: { int: -1 }, epsilon: { float: epsilon } };
    return this.#one('LayerNormalization', [x, scale, bias], x, { attributes });
  }

  /** Over the last axis, without mean and bias. */
  rmsNorm(x: Value, scale: Value, epsilon: number): Value {
    this.#checkLast('SimplifiedLayerNormalization', x, scale);
    const attributes = { axis: { int: -1 }, epsilon: { float: epsilon } };
    return this.#one('SimplifiedLayerNormalization', [x, scale], x, { attributes });
  }

  /** Normalizes each channel of [1, C, ...] by its own mean and variance. */
  instanceNorm(x: Value, epsilon: number): Value {
    const channels = sizeAlong(x, 1);
    const ones = this.floats(new Array<number>(channels).fill(1));
    const zeros = this.floats(new Array<number>(channels).fill(0));
    return this.#one('InstanceNormalization', [x, ones, zeros], x, {
      attributes: { epsilon: { float: epsilon } },
    });
  }

  // Attention.

  /** Queries [1, L, H*D], keys [1, S, H*D] and values [1, S, H*E] -> [1, L, H*E]. */
  attention(queries: Value, keys: Value, values: Value, options: AttentionOptions): Value {
    const { heads, scale, bias, isCausal } = options;
    const [, length = 0, width = 0] = queries.shape;
    const [, count = 0, keyWidth = 0] = keys.shape;
    const [, valueCount = 0, valueWidth = 0] = values.shape;
    const isBatch = [queries, keys, values].every(({ shape }) => shape.length === 3);
    const isFit = isBatch && width === keyWidth && count === valueCount;
    if (!isFit || width % heads !== 0 || valueWidth % heads !== 0) {
      const what = [queries, keys, values].map(describe).join(' and ');
      throw this.#mismatch('MultiHeadAttention', `${heads} heads`, what);
    }
    if (bias && bias.shape.join() !== [1, heads, length, count].join()) {
      throw this.#mismatch('MultiHeadAttention', 'bias', `${describe(queries)} and ${describe(bias)}`);
    }
    if (this.#parts.precision.attention === 'composed')
      return this.#composedAttention(queries, keys, values, options);
    const attributes = {
      num_heads: { int: heads },
      ...(scale !== undefined && { scale: { float: scale } }),
      ...(isCausal && { unidirectional: { int: 1 } }),
    };
    const inputs = [queries, keys, values, ...(bias ? [undefined, undefined, bias] : [])];
    const output = { type: queries.type, shape: [1, length, valueWidth] };
    return this.#one('MultiHeadAttention', inputs, output, { domain: 'com.microsoft', attributes });
  }

  /** `attention` from matrix products and a softmax, in blocks of queries. */
  #composedAttention(queries: Value, keys: Value, values: Value, options: AttentionOptions): Value {
    const { heads, scale, bias, isCausal } = options;
    const { type } = queries;
    const [, length = 0, width = 0] = queries.shape;
    const count = sizeAlong(keys, 1);
    const valueWidth = sizeAlong(values, 2);
    const size = width / heads;
    const perHead = (x: Value, order: readonly number[]) =>
      this.transpose(this.reshape(x, [sizeAlong(x, 1), heads, sizeAlong(x, 2) / heads]), order);
    const factor = this.floats([scale ?? 1 / Math.sqrt(size)]);
    const q = this.times(perHead(queries, [1, 0, 2]), factor); // [H, L, D]
    const k = perHead(keys, [1, 2, 0]); // [H, D, S]
    const v = perHead(values, [1, 0, 2]); // [H, S, E]
    const rows = Math.max(1, Math.floor(scoresAtOnce / (heads * count)));
    const blocks: Value[] = [];
    for (let begin = 0; begin < length; begin += rows) {
      const taken = Math.min(rows, length - begin);
      const part = (x: Value) => (taken === length ? x : this.#slice(x, 1, begin, taken));
      let scores = this.#one('MatMul', [part(q), k], { type, shape: [heads, taken, count] });
      if (bias) scores = this.plus(scores, part(this.reshape(bias, [heads, length, count])));
      if (isCausal) {
        const hidden = Array.from({ length: taken * count }, (_, i) =>
          i % count > begin + Math.floor(i / count) ? -1e9 : 0,
        );
        scores = this.plus(scores, this.floats(hidden, [1, taken, count]));
      }
      const weights = this.#one('Softmax', [scores], scores, { attributes: { axis: { int: -1 } } });
      const shape = [heads, taken, valueWidth / heads];
      blocks.push(this.transpose(this.#one('MatMul', [weights, v], { type, shape }), [1, 0, 2])); // [taken, H, E]
    }
    const [whole, ...more] = blocks;
    const joined = whole && more.length === 0 ? whole : this.concat(0, blocks);
    return this.reshape(joined, [1, length, valueWidth]);
  }

  #slice(x: Value, axis: number, begin: number, count: number): Value {
    // If the length is open: an end beyond the last row.
    const end = isOpen(count) ? 2 ** 31 - 1 : begin + count;
    const bounds = [begin, end, axis].map((value) => this.integers([value]));
    return this.#one('Slice', [x, ...bounds], { type: x.type, shape: x.shape.with(axis, count) });
  }

  /**
   * Rotates the pairs (2i, 2i + 1) of every head of [1, L, H*D] by the angles of its row.
   * @param cosine and `sine` [L, D / 2]
   */
  rotary(x: Value, cosine: Value, sine: Value, heads: number): Value {
    const [, length, width = 0] = x.shape;
    const wanted = [length, width / heads / 2].join();
    if (cosine.shape.join() !== wanted || sine.shape.join() !== wanted) {
      throw this.#mismatch('RotaryEmbedding', `${heads} heads`, `${describe(x)} and ${describe(cosine)}`);
    }
    const attributes = { interleaved: { int: 1 }, num_heads: { int: heads } };
    // A single position id instead of one per row: that of the first element.
    const inputs = [x, this.integers([0]), cosine, sine];
    return this.#one('RotaryEmbedding', inputs, x, { domain: 'com.microsoft', attributes });
  }

  /** Nearest-neighbour upsampling: [1, C, H, W] -> [1, C, 2H, 2W]. */
  upsampleNearest(x: Value): Value {
    const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
    const attributes = {
      mode: { text: 'nearest' },
      coordinate_transformation_mode: { text: 'asymmetric' },
      nearest_mode: { text: 'floor' },
    };
    const output = { type: x.type, shape: [batch, channels, height * 2, width * 2] };
    return this.#one('Resize', [x, undefined, this.floats([1, 1, 2, 2])], output, { attributes });
  }

  #one(op: string, inputs: readonly (Value | undefined)[], output: Shaped, options: NodeOptions = {}): Value {
    const [value] = this.add(op, inputs, [output], options);
    return value;
  }

  #append<Outputs extends readonly Value[]>(
    op: string,
    inputs: readonly (Value | undefined)[],
    outputs: Outputs,
    { domain, attributes = {} }: NodeOptions,
    name: string,
  ): Outputs {
    const inputNames = inputs.map((input) => input?.name ?? '');
    while (inputNames.at(-1) === '') inputNames.pop();
    this.#parts.nodes.push({
      op,
      domain: domain ?? '',
      name,
      inputs: inputNames,
      outputs: outputs.map((output) => output.name),
      attributes,
    });
    for (const value of outputs) this.#keep(value);
    return outputs;
  }

  #keep(value: Value): Value {
    this.#parts.values.set(value.name, value);
    return value;
  }

  #initializer(initializer: Initializer): Value {
    const { initializers } = this.#parts;
    const known = initializers.get(initializer.value.name);
    if (!known) {
      initializers.set(initializer.value.name, initializer);
      return this.#keep(initializer.value);
    }
    if (known.value.shape.join() !== initializer.value.shape.join()) {
      const what = `${describe(known.value)} and ${describe(initializer.value)}`;
      throw this.#mismatch('Weight', initializer.value.name, what);
    }
    return known.value;
  }

  #constant(type: ElementType, shape: readonly number[], data: Uint8Array, values: readonly number[]): Value {
    if (elementCount(shape) !== values.length) {
      throw this.#mismatch('Constant', '', `${values.length} values and [${shape.join(', ')}]`);
    }
    // Small constants such as shapes and epsilons recur, so share them.
    const name =
      values.length <= 8
        ? `${type}[${shape.join()}]=${values.join()}`
        : this.#unique(`${type}[${shape.join()}]`);
    return this.#initializer({ value: { name, type, shape }, data });
  }

  #unique(name: string): string {
    const { taken } = this.#parts;
    const count = taken.get(name) ?? 0;
    taken.set(name, count + 1);
    return count === 0 ? name : `${name}#${count}`;
  }

  #broadcast(op: string, a: Value, b: Value): Shaped {
    const rank = Math.max(a.shape.length, b.shape.length);
    const shape: number[] = [];
    for (let i = 1; i <= rank; i++) {
      const [m = 1, n = 1] = [a.shape.at(-i), b.shape.at(-i)].map((size) => size ?? 1);
      if (m !== n && m !== 1 && n !== 1) throw this.#mismatch(op, '', `${describe(a)} and ${describe(b)}`);
      shape.unshift(Math.max(m, n));
    }
    if (a.type !== b.type) throw this.#mismatch(op, '', `${describe(a)} and ${describe(b)}`);
    return { type: a.type, shape };
  }

  #checkBias(op: string, outputs: number, bias: Value | undefined): void {
    if (bias && bias.shape.join() !== String(outputs)) {
      throw this.#mismatch(op, bias.name, `[${outputs}] outputs and ${describe(bias)}`);
    }
  }

  #checkLast(op: string, x: Value, weight: Value): void {
    if (weight.shape.join() !== String(x.shape.at(-1))) {
      throw this.#mismatch(op, weight.name, `${describe(x)} and ${describe(weight)}`);
    }
  }

  /** The file of a weight, or of the weight it was cast from. */
  #fileOf(name: string): string | undefined {
    const { initializers, casts } = this.#parts;
    const data = initializers.get(casts.get(name)?.node.inputs[0] ?? name)?.data;
    return data && !(data instanceof Uint8Array) ? data.file : undefined;
  }

  #mismatch(op: string, what: string, shapes: string): CodedError {
    const file = this.#fileOf(what);
    const place = [this.#scope, what, file && `in ${file}`].filter(Boolean).join(', ');
    return new CodedError('model-file-invalid', {
      detail: `The graph "${this.#parts.name}" cannot be built: ${op}${place && ` (${place})`} got ${shapes}.`,
      remedy:
        'The files of the model do not fit together; take them all from one source and install them again.',
    });
  }
}

function castTo(type: ElementType): { readonly attributes: Readonly<Record<string, Attribute>> } {
  return { attributes: { to: { int: dataType[type] } } };
}
