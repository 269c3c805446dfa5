/**
 * CLIP's text encoder (Radford et al. 2021; huggingface/transformers, modeling_clip.py), over files with its
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

const epsilon = 1e-5;
/** The same in all published CLIP text encoders. */
const headSize = 64;

/** FLUX's CLIP ViT-L/14 (openai/clip-vit-large-patch14, config.json). */
const vitL = { width: 768, layers: 12, vocabulary: 49408 } as const;

/**
 * Checks that a file is a CLIP text encoder and fits its tokenizer.
 * @param tokens number of ids that the tokenizer can produce
 * @throws CodedError `model-file-invalid`
 */
export function checkCLIP(file: WeightsFile, tokens: number): void {
  const net = new Layers(Graph.create('clip'), file).at('text_model');
  const [rows = 0, width = 0] = net.shape('embeddings.token_embedding.weight');
  const layers = countIndices(file.names, 'text_model.encoder.layers');
  const isVitL = width === vitL.width;
  const wanted = isVitL ? vitL : { layers: Math.max(1, layers), vocabulary: rows };
  if (rows >= tokens && rows === wanted.vocabulary && layers === wanted.layers) return;
  throw invalidFile(
    `${file.file} has ${rows} tokens and ${layers} layers; ${isVitL ? `CLIP ViT-L/14 has ${vitL.vocabulary} and ${vitL.layers}` : `its tokenizer has ${tokens} tokens`}.`,
    undefined,
    'Use the text encoder of CLIP ViT-L/14: "clip_l.safetensors".',
  );
}

/**
 * Inputs `tokens` int64 [length] and `end` int64 [1], the position of the end of the text, and one scale,
 * [1], per adapter; output `pooled` [1, width].
 */
export function buildCLIP(
  file: WeightsFile,
  length: number,
  attention: AttentionForm = 'fused',
  adapters: readonly Adapter[] = [],
): Model {
  const graph = Graph.create('clip', { ...float32, attention });
  const scaled = adapters.map(({ id, changes }) => ({
    changes: changes.clip,
    scale: graph.input(adapterInput(id), 'float32', [1]),
  }));
  const net = new Layers(graph, file, scaled).at('text_model');
  const tokens = graph.input('tokens', 'int64', [length]);
  const end = graph.input('end', 'int64', [1]);
  const positions = graph.rows(net.parameter('embeddings.position_embedding.weight'), 0, length);
  let x = graph.plus(net.embedding('embeddings.token_embedding', tokens), positions); // [length, width]
  for (const layer of net.list('encoder.layers', 'layer_norm1.weight')) {
    x = graph.plus(x, selfAttention(layer, layer.layerNorm('layer_norm1', x, epsilon)));
    const hidden = layer.linear('mlp.fc1', layer.layerNorm('layer_norm2', x, epsilon));
    x = graph.plus(x, layer.linear('mlp.fc2', graph.quickGelu(hidden)));
  }
  graph.output('pooled', net.layerNorm('final_layer_norm', graph.gather(x, end), epsilon));
  return graph.finish();
}

function selfAttention(net: Layers, x: Value): Value {
  const g = net.graph;
  const project = (name: string) => {
    const projected = net.linear(`self_attn.${name}`, x);
    return g.reshape(projected, [1, ...projected.shape]);
  };
  const heads = sizeAlong(x, 1) / headSize;
  const attended = g.attention(project('q_proj'), project('k_proj'), project('v_proj'), {
    heads,
    isCausal: true,
  });
  return net.linear('self_attn.out_proj', g.reshape(attended, attended.shape.slice(1)));
}
