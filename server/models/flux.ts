/**
 * The diffusion transformer of FLUX.1 (black-forest-labs/flux, model.py and modules/layers.py), over files
 * with its key layout or diffusers'. Every size is read from the tensors' shapes.
 */

import type { Adapter } from '../checkpoints/lora/adapter.ts';
import { invalidFile, type WeightsFile } from '../checkpoints/weights-file.ts';
import type { Model } from '../graph/encode.ts';
import { Graph } from '../graph/graph.ts';
import { float32, type Precision } from '../graph/precision.ts';
import { mapTuple, openLength, sizeAlong, type Value } from '../graph/value.ts';
import { adapterInput, Layers } from '../nn/layers.ts';

export interface FluxSizes {
  /** Input channels per token: 384 (fill and LoRA layout) or 448 (FFT). */
  readonly inChannels: 384 | 448;
  /** Hidden size D. */
  readonly hiddenSize: number;
  /** The number of double and single blocks. */
  readonly blocks: number;
  readonly headSize: number;
  readonly contextSize: number;
  readonly pooledSize: number;
  /** Guidance-distilled, like FLUX.1-dev; schnell is not. */
  readonly hasGuidance: boolean;
}

/** Width of the timestep and guidance embeddings (model.py, `timestep_embedding(timesteps, 256)`). */
export const embeddingSize = 256;

/** Packed latents: 16 channels of 2x2. */
const outChannels = 64;

/** modules/layers.py: LayerNorm(eps=1e-6), RMSNorm's `+ 1e-6`. */
const epsilon = 1e-6;

/** FLUX.1-dev, FLUX.1-Fill-dev, and with the change image (FFT). */
const knownColumns = [64, 384, 448];

/** FLUX.1 (black-forest-labs/flux, util.py): 19 double and 38 single blocks, 3072 wide. */
const flux1 = { hiddenSize: 3072, doubles: 19, singles: 38 } as const;

const headNorm = 'double_blocks.0.img_attn.norm.query_norm';

/** @throws CodedError `model-file-invalid` */
export function fluxSizes(file: WeightsFile): FluxSizes {
  const net = new Layers(Graph.create('transformer'), file);
  const [hiddenSize = 0, columns = 0] = net.shape('img_in.weight');
  // A transformer with fewer columns that was trained for editing says so in its metadata.
  const inChannels = file.number('input_columns', columns);
  if (inChannels === 64) {
    throw invalidFile(
      `${file.file} has 64 columns in "img_in.weight": it makes pictures from text, like FLUX.1-dev and FLUX.1-schnell, and cannot edit.`,
      undefined,
      'Use FLUX.1-Fill-dev or ACE++ FFT. A model with 64 columns that was trained for editing needs "input_columns": "384" or "448" in its metadata.',
    );
  }
  const isKnown = inChannels === 384 || inChannels === 448;
  if (!isKnown || !knownColumns.includes(columns) || columns > inChannels) {
    throw invalidFile(
      `${file.file} has ${columns} columns in "img_in.weight" for ${inChannels} input channels; supported are ${knownColumns.join(', ')}.`,
    );
  }
  const [headSize = 0] = net.shape(`${headNorm}.scale`);
  if (headSize === 0 || headSize % 16 !== 0 || hiddenSize % headSize !== 0) {
    throw invalidFile(
      `${file.file} has heads of ${headSize} in "${headNorm}.scale", which do not divide ${hiddenSize} columns and three axes.`,
    );
  }
  const [, contextSize = 0] = net.shape('txt_in.weight');
  const [, pooledSize = 0] = net.shape('vector_in.in_layer.weight');
  return {
    inChannels,
    hiddenSize,
    blocks: countBlocks(file, net, hiddenSize),
    headSize,
    contextSize,
    pooledSize,
    hasGuidance: file.names.some((name) => name.startsWith('guidance_in.')),
  };
}

/**
 * Counts double and single blocks and checks the counts: against the metadata, or FLUX.1 if the file has its
 * width, or at least one of each.
 */
function countBlocks(file: WeightsFile, net: Layers, hiddenSize: number): number {
  const is = {
    double_blocks: net.list('double_blocks', 'img_mod.lin.weight').length,
    single_blocks: net.list('single_blocks', 'modulation.lin.weight').length,
  };
  const isFlux1 = hiddenSize === flux1.hiddenSize;
  const wanted = {
    double_blocks: file.number('double_blocks', isFlux1 ? flux1.doubles : Math.max(1, is.double_blocks)),
    single_blocks: file.number('single_blocks', isFlux1 ? flux1.singles : Math.max(1, is.single_blocks)),
  };
  for (const kind of ['double_blocks', 'single_blocks'] as const) {
    if (is[kind] === wanted[kind]) continue;
    throw invalidFile(
      `${file.file} has ${is[kind]} of the ${wanted[kind]} "${kind}" in this network: it is incomplete, or a different model.`,
    );
  }
  return is.double_blocks + is.single_blocks;
}

/** Multiplications and additions in one evaluation: matrix products and attention; the rest is below 1%. */
export function operationsOf(
  { hiddenSize, blocks }: Pick<FluxSizes, 'hiddenSize' | 'blocks'>,
  tokens: number,
  textTokens: number,
): number {
  const joined = tokens + textTokens;
  const products = 2 * 12 * hiddenSize ** 2 * joined;
  const attention = 4 * joined ** 2 * hiddenSize;
  return blocks * (products + attention);
}

/**
 * Inputs `image` [tokens, inChannels], `text` [textTokens, contextSize], `pooled` [1, pooledSize], `timestep`
 * and `guidance` [1, 256], `cosine` and `sine` [textTokens + tokens, headSize / 2], and one scale, [1], per
 * adapter, named by `adapterInput`; output `velocity` [tokens, 64]. All are float32, whatever the graph's
 * precision.
 */
export function buildFlux(...made: FluxArguments): Model {
  const part = start(made);
  const { image, text, vector } = embedded(part);
  const after = throughBlocks(part, { image, text }, vector, rotaryInputs(part), 0);
  part.graph.output('velocity', velocityOf(part, after, vector));
  return part.graph.finish();
}

/** The sequence length to build for: fixed for composed attention, which runs in chunks; otherwise open. */
export function builtLength({ attention }: Precision, tokens: number): number {
  return attention === 'fused' ? openLength : tokens;
}

type FluxArguments = [
  file: WeightsFile,
  tokens: number,
  textTokens: number,
  adapters?: readonly Adapter[],
  precision?: Precision,
];

// The same in three parts, for a cache that skips the middle one. Values passed between them are float32.

/**
 * Inputs like `buildFlux`; outputs `begunImage` and `begunText` after the first block, its `change` to the
 * image, and `modulation`, [1, D].
 */
export function buildFluxFirst(...made: FluxArguments): Model {
  const part = start(made);
  const { graph, net } = part;
  const { image, text, vector } = embedded(part);
  const [first] = net.list('double_blocks', 'img_mod.lin.weight');
  if (!first) throw invalidFile('The transformer has no double blocks.');
  const [newImage, newText] = doubleBlock(first, image, text, vector, rotaryInputs(part));
  const outputs = {
    begunImage: newImage,
    begunText: newText,
    change: graph.minus(newImage, image),
    modulation: vector,
  };
  for (const [name, value] of Object.entries(outputs)) graph.output(name, graph.cast(value, 'float32'));
  return graph.finish();
}

/** Inputs: the first part's outputs, `cosine`, `sine`, scales; output `finishedImage`, after all blocks. */
export function buildFluxRest(...made: FluxArguments): Model {
  const part = start(made);
  const { graph, sizes, tokens, textTokens } = part;
  const image = graph.given('begunImage', [tokens, sizes.hiddenSize]);
  const text = graph.given('begunText', [textTokens, sizes.hiddenSize]);
  const vector = graph.given('modulation', [1, sizes.hiddenSize]);
  const after = throughBlocks(part, { image, text }, vector, rotaryInputs(part), 1);
  graph.output('finishedImage', graph.cast(after, 'float32'));
  return graph.finish();
}

/** Inputs `finishedImage` [tokens, D], `modulation` [1, D] and scales; output `velocity` [tokens, 64]. */
export function buildFluxLast(...made: FluxArguments): Model {
  const part = start(made);
  const { graph, sizes, tokens } = part;
  const image = graph.given('finishedImage', [tokens, sizes.hiddenSize]);
  graph.output('velocity', velocityOf(part, image, graph.given('modulation', [1, sizes.hiddenSize])));
  return graph.finish();
}

interface FluxGraph {
  readonly graph: Graph;
  readonly net: Layers;
  readonly sizes: FluxSizes;
  readonly tokens: number;
  readonly textTokens: number;
}

function start([file, tokens, textTokens, adapters = [], precision = float32]: FluxArguments): FluxGraph {
  const graph = Graph.create('transformer', precision);
  const scaled = adapters.map((adapter) => ({
    changes: adapter.changes.transformer,
    scale: graph.given(adapterInput(adapter.id), [1]),
  }));
  return { graph, net: new Layers(graph, file, scaled), sizes: fluxSizes(file), tokens, textTokens };
}

/** -> [tokens, D], [textTokens, D] and the modulation vector of all blocks, [1, D] */
function embedded({ graph, net, sizes, tokens, textTokens }: FluxGraph) {
  const image = imageIn(net, graph.given('image', [tokens, sizes.inChannels]));
  const { hiddenSize } = sizes;
  const text = net.linear('txt_in', graph.given('text', [textTokens, sizes.contextSize]), hiddenSize);
  let vector = embedder(net.at('time_in'), graph.given('timestep', [1, embeddingSize]), hiddenSize);
  if (sizes.hasGuidance) {
    const guidance = graph.given('guidance', [1, embeddingSize]);
    vector = graph.plus(vector, embedder(net.at('guidance_in'), guidance, hiddenSize));
  }
  const pooled = graph.given('pooled', [1, sizes.pooledSize]);
  return {
    image,
    text,
    vector: graph.silu(graph.plus(vector, embedder(net.at('vector_in'), pooled, hiddenSize))),
  };
}

function rotaryInputs({ graph, sizes: { headSize }, tokens, textTokens }: FluxGraph): Rotary {
  const shape = [textTokens + tokens, headSize / 2];
  return { cosine: graph.given('cosine', shape), sine: graph.given('sine', shape), headSize };
}

/** @param begin index of the first double block to run */
function throughBlocks(
  { graph, net, tokens, textTokens }: FluxGraph,
  streams: { readonly image: Value; readonly text: Value },
  vector: Value,
  rotary: Rotary,
  begin: number,
): Value {
  let { image, text } = streams;
  for (const block of net.list('double_blocks', 'img_mod.lin.weight').slice(begin)) {
    [image, text] = doubleBlock(block, image, text, vector, rotary);
  }
  let stream = graph.concat(0, [text, image]); // [textTokens + tokens, D]
  for (const block of net.list('single_blocks', 'modulation.lin.weight')) {
    stream = singleBlock(block, stream, vector, rotary);
  }
  return graph.rows(stream, textTokens, tokens);
}

function velocityOf({ graph, net, sizes: { hiddenSize } }: FluxGraph, image: Value, vector: Value): Value {
  const final = net.at('final_layer');
  const [shift, scale] = final.linears('adaLN_modulation.1', vector, [hiddenSize, hiddenSize]);
  const velocity = final.linear('linear', modulated(final.graph, image, shift, scale), outChannels);
  return graph.cast(velocity, 'float32');
}

interface Rotary {
  readonly cosine: Value;
  readonly sine: Value;
  readonly headSize: number;
}

/** A weight with fewer columns than the input counts as zero-padded: the rest of the input is ignored. */
function imageIn(net: Layers, input: Value): Value {
  const [, columns = 0] = net.shape('img_in.weight');
  const given = sizeAlong(input, 1);
  if (columns === given) return net.linear('img_in', input);
  const [taken] = net.graph.split(input, 1, [columns, given - columns]);
  return net.linear('img_in', taken);
}

/** `MLPEmbedder`: [1, in] -> [1, D] */
function embedder(net: Layers, x: Value, hiddenSize: number): Value {
  return net.linear('out_layer', net.graph.silu(net.linear('in_layer', x)), hiddenSize);
}

/** `DoubleStreamBlock`: image and text have separate weights and attend to each other. */
function doubleBlock(net: Layers, image: Value, text: Value, vector: Value, rotary: Rotary): [Value, Value] {
  const g = net.graph;
  const hiddenSize = sizeAlong(image, 1);
  const sixParts = mapTuple([0, 1, 2, 3, 4, 5], () => hiddenSize);
  const before = (name: 'txt' | 'img', x: Value) => {
    // [1, 6D] -> shift, scale and gate before attention, the same before the MLP
    const modulation = net.linear(`${name}_mod.lin`, vector, 6 * hiddenSize);
    const [shift, scale, ...after] = g.split(modulation, 1, sixParts);
    const input = modulated(g, x, shift, scale);
    const [q, k, v] = net.linears(`${name}_attn.qkv`, input, [hiddenSize, hiddenSize, hiddenSize]); // 3 x [L, D]
    const norm = net.at(`${name}_attn.norm`);
    return { name, x, after, ...normalized(norm, q, k, rotary.headSize), v };
  };
  const streams = [before('txt', text), before('img', image)] as const;
  const join = (of: 'q' | 'k' | 'v') =>
    g.concat(
      0,
      streams.map((stream) => stream[of]),
    );
  const attended = attend(g, join('q'), join('k'), join('v'), rotary);
  const attendedParts = g.split(attended, 0, [sizeAlong(text, 0), sizeAlong(image, 0)]);

  const finish = (
    { name, x, after: [gate, mlpShift, mlpScale, mlpGate] }: (typeof streams)[number],
    part: Value,
  ) => {
    const y = g.plus(x, g.times(gate, net.linear(`${name}_attn.proj`, part, hiddenSize)));
    const hidden = net.linearGelu(`${name}_mlp.0`, modulated(g, y, mlpShift, mlpScale));
    return g.plus(y, g.times(mlpGate, net.linear(`${name}_mlp.2`, hidden, hiddenSize)));
  };
  const newText = finish(streams[0], attendedParts[0]);
  const newImage = finish(streams[1], attendedParts[1]);
  // diffusers, transformer_flux.py: in these blocks, the text stream exceeds float16's range.
  return [newImage, g.withinFloat16(newText)];
}

/** `SingleStreamBlock`: attention and MLP side by side, with one projection in and one out. */
function singleBlock(net: Layers, x: Value, vector: Value, rotary: Rotary): Value {
  const g = net.graph;
  const hiddenSize = sizeAlong(x, 1);
  const modulation = net.linear('modulation.lin', vector, 3 * hiddenSize);
  const [shift, scale, gate] = g.split(modulation, 1, [hiddenSize, hiddenSize, hiddenSize]);
  const input = modulated(g, x, shift, scale);
  const [, joinedSize = 0] = net.shape('linear2.weight');
  const sizes = [hiddenSize, hiddenSize, hiddenSize, joinedSize - hiddenSize] as const; // 3 x [L, D] and, after its GELU, [L, M]
  const [q, k, v, hidden] = net.linears('linear1', input, sizes, 'gelu');
  const heads = normalized(net.at('norm'), q, k, rotary.headSize);
  const attended = attend(g, heads.q, heads.k, v, rotary);
  const output = net.linear('linear2', g.concat(1, [attended, hidden]), hiddenSize);
  return g.withinFloat16(g.plus(x, g.times(gate, output)));
}

/** `(1 + scale) * LayerNorm(x) + shift`, in one node: [L, D], [1, D], [1, D] -> [L, D] */
function modulated(g: Graph, x: Value, shift: Value, scale: Value): Value {
  const hiddenSize = [sizeAlong(x, 1)];
  const factor = g.reshape(g.plus(scale, g.floats([1], [1, 1])), hiddenSize);
  return g.layerNorm(x, factor, g.reshape(shift, hiddenSize), epsilon);
}

/** `QKNorm`: normalizes each head of queries and keys by its root mean square. */
function normalized(norm: Layers, q: Value, k: Value, headSize: number): { q: Value; k: Value } {
  const perHead = (x: Value, name: string) => {
    const heads = norm.graph.reshape(x, [sizeAlong(x, 0), sizeAlong(x, 1) / headSize, headSize]);
    return norm.graph.reshape(norm.rmsNorm(name, heads, epsilon), x.shape);
  };
  return { q: perHead(q, 'query_norm.scale'), k: perHead(k, 'key_norm.scale') };
}

/** Attention with rotary position embedding: 3 x [L, D] -> [L, D] */
function attend(g: Graph, q: Value, k: Value, v: Value, { cosine, sine, headSize }: Rotary): Value {
  const heads = sizeAlong(q, 1) / headSize;
  const batched = (x: Value) => g.reshape(x, [1, ...x.shape]);
  const rotated = (x: Value) => g.rotary(batched(x), cosine, sine, heads);
  return g.reshape(g.attention(rotated(q), rotated(k), batched(v), { heads }), v.shape);
}

/**
 * Angles of the rotary embedding for text ids of 0 and image ids (0, row, column), model.py `EmbedND`: the
 * head is split across the three axes as 16 : 56 : 56.
 * @returns cosine and sine, [textTokens + rows * columns, headSize / 2]
 */
export function rotaryTables(
  headSize: number,
  textTokens: number,
  rows: number,
  columns: number,
): { cosine: Float32Array; sine: Float32Array } {
  const axes = [headSize / 8, (headSize * 7) / 16, (headSize * 7) / 16];
  const half = headSize / 2;
  const cosine = new Float32Array((textTokens + rows * columns) * half).fill(1);
  const sine = new Float32Array(cosine.length);
  for (let token = 0; token < rows * columns; token++) {
    const ids = [0, Math.floor(token / columns), token % columns];
    let at = (textTokens + token) * half;
    axes.forEach((size, axis) => {
      for (let i = 0; i < size / 2; i++, at++) {
        const angle = ids[axis]! / 10000 ** ((2 * i) / size);
        cosine[at] = Math.cos(angle);
        sine[at] = Math.sin(angle);
      }
    });
  }
  return { cosine, sine };
}

/**
 * The sinusoidal embedding of sigma or guidance (modules/layers.py, `timestep_embedding` with time_factor
 * 1000).
 * @returns [1, 256], cosines first
 */
export function sinusoidalEmbedding(value: number): Float32Array {
  const half = embeddingSize / 2;
  const embedding = new Float32Array(embeddingSize);
  for (let i = 0; i < half; i++) {
    const angle = 1000 * value * Math.exp((-Math.log(10000) * i) / half);
    embedding[i] = Math.cos(angle);
    embedding[half + i] = Math.sin(angle);
  }
  return embedding;
}
