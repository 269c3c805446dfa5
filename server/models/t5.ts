/**
 * The encoder of T5 v1.1 (Raffel et al. 2020; huggingface/transformers, modeling_t5.py), over files with its
 * key layout.
 */

import { countIndices } from '../checkpoints/key-map.ts';
import type { Adapter } from '../checkpoints/lora/adapter.ts';
import { invalidFile, type WeightsFile } from '../checkpoints/weights-file.ts';
import type { Model } from '../graph/encode.ts';
import { Graph } from '../graph/graph.ts';
import { type AttentionForm, float32 } from '../graph/precision.ts';
import { sizeAlong, type Value } from '../graph/value.ts';
import { adapterInput, Layers } from '../nn/layers.ts';

const epsilon = 1e-6;
/** config.json of T5 v1.1: relative_attention_max_distance; the number of buckets is read from the tensor. */
const maxDistance = 128;

/** FLUX's T5 v1.1 XXL (google/t5-v1_1-xxl, config.json: `d_model`, `num_layers`, `vocab_size`). */
const xxl = { width: 4096, blocks: 24, vocabulary: 32128 } as const;

const table = (net: Layers) => (net.has('shared.weight') ? 'shared' : 'encoder.embed_tokens');

/**
 * Checks that a file is T5 v1.1 and fits its tokenizer.
 * @param tokens number of ids that the tokenizer can produce
 * @throws CodedError `model-file-invalid`
 */
export function checkT5(file: WeightsFile, tokens: number): void {
  const net = new Layers(Graph.create('t5'), file);
  const [rows = 0, width = 0] = net.shape(`${table(net)}.weight`);
  const blocks = countIndices(file.names, 'encoder.block');
  const bias = 'layer.0.SelfAttention.relative_attention_bias.weight';
  const biases = Array.from({ length: blocks }, (_, i) => `encoder.block.${i}.${bias}`);
  const whatItIs = `${file.file} has ${rows} tokens, ${blocks} blocks and`;
  if (biases.slice(1).some((name) => file.has(name))) {
    throw notT5(`${whatItIs} a relative bias in each block: it is umT5, not T5 v1.1.`);
  }
  if (rows < tokens) throw notT5(`${whatItIs} its tokenizer has ${tokens} tokens.`);
  if (width === xxl.width && (blocks !== xxl.blocks || rows !== xxl.vocabulary)) {
    throw notT5(
      `${whatItIs} ${width} columns; T5-XXL has ${xxl.vocabulary} tokens and ${xxl.blocks} blocks.`,
    );
  }
}

function notT5(detail: string) {
  return invalidFile(
    detail,
    undefined,
    'Use the encoder of T5 v1.1 XXL: "t5xxl_fp16.safetensors" or "t5xxl_fp8_e4m3fn.safetensors".',
  );
}

/**
 * Input `tokens` int64 [length], and one scale, [1], per adapter; output `text` [length, width]. Padding is
 * not masked, as in FLUX's training.
 */
export function buildT5(
  file: WeightsFile,
  length: number,
  attention: AttentionForm = 'fused',
  adapters: readonly Adapter[] = [],
): Model {
  const graph = Graph.create('t5', { ...float32, attention });
  const scaled = adapters.map(({ id, changes }) => ({
    changes: changes.t5,
    scale: graph.input(adapterInput(id), 'float32', [1]),
  }));
  const net = new Layers(graph, file, scaled);
  const tokens = graph.input('tokens', 'int64', [length]);
  let x = net.embedding(table(net), tokens); // [length, width]
  const encoder = net.at('encoder');
  const bias = relativeBias(encoder.at('block.0.layer.0.SelfAttention'), length);
  for (const block of encoder.list('block', 'layer.0.SelfAttention.q.weight')) {
    x = graph.plus(x, selfAttention(block.at('layer.0'), x, bias));
    x = graph.plus(x, gatedMLP(block.at('layer.1'), x));
  }
  graph.output('text', encoder.rmsNorm('final_layer_norm.weight', x, epsilon));
  return graph.finish();
}

/** All blocks share the first block's table: [buckets, heads] -> [1, heads, length, length] */
function relativeBias(net: Layers, length: number): Value {
  const g = net.graph;
  const [buckets = 0] = net.shape('relative_attention_bias.weight');
  const indices = g.integers(relativeBuckets(length, buckets), [length * length]);
  const rows = net.embedding('relative_attention_bias', indices); // [length * length, heads]
  const heads = sizeAlong(rows, 1);
  return g.reshape(g.transpose(rows, [1, 0]), [1, heads, length, length]);
}

/** T5's attention is not scaled. */
function selfAttention(net: Layers, x: Value, bias: Value): Value {
  const g = net.graph;
  const input = net.rmsNorm('layer_norm.weight', x, epsilon);
  const project = (name: string) => {
    const projected = net.linear(`SelfAttention.${name}`, input);
    return g.reshape(projected, [1, ...projected.shape]);
  };
  const options = { heads: sizeAlong(bias, 1), scale: 1, bias };
  const attended = g.attention(project('q'), project('k'), project('v'), options);
  return net.linear('SelfAttention.o', g.reshape(attended, attended.shape.slice(1)));
}

function gatedMLP(net: Layers, x: Value): Value {
  const g = net.graph;
  const input = net.rmsNorm('layer_norm.weight', x, epsilon);
  const gate = net.linearGelu('DenseReluDense.wi_0', input);
  return net.linear('DenseReluDense.wo', g.times(gate, net.linear('DenseReluDense.wi_1', input)));
}

/**
 * modeling_t5.py, `_relative_position_bucket`, bidirectional: half of the buckets are for keys after the
 * query; in each half, exact distances come first, then logarithmic ones up to `maxDistance`.
 * @returns the bucket of each (query, key), row by row
 */
export function relativeBuckets(length: number, buckets: number): number[] {
  const half = buckets / 2;
  const exact = half / 2;
  const bucketOf = (distance: number): number => {
    if (distance < exact) return distance;
    const log = Math.log(distance / exact) / Math.log(maxDistance / exact);
    return Math.min(half - 1, exact + Math.trunc(log * (half - exact)));
  };
  return Array.from({ length: length * length }, (_, i) => {
    const relative = (i % length) - Math.floor(i / length);
    return (relative > 0 ? half : 0) + bucketOf(Math.abs(relative));
  });
}
