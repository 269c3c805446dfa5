/** Files in FLUX's layout of any size, with meaningless weights, to measure what only depends on shapes. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, truncateSync, writeSync } from 'node:fs';
import { embeddingSize } from '../server/models/flux.ts';

export interface FluxShape {
  /** Hidden width, a multiple of 128. */
  readonly width: number;
  readonly double: number;
  readonly single: number;
}

export const headSize = 128;
export const contextSize = 4096;
export const pooledSize = 768;
const inChannels = 384;

/** Names and shapes in black-forest-labs' layout. */
export function fluxTensors({ width, double, single }: FluxShape): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = {};
  const linear = (name: string, outputs: number, inputs: number) => {
    shapes[`${name}.weight`] = [outputs, inputs];
    shapes[`${name}.bias`] = [outputs];
  };
  const norms = (name: string) => {
    shapes[`${name}.query_norm.scale`] = [headSize];
    shapes[`${name}.key_norm.scale`] = [headSize];
  };
  linear('img_in', width, inChannels);
  linear('txt_in', width, contextSize);
  for (const [name, inputs] of [
    ['time_in', embeddingSize],
    ['guidance_in', embeddingSize],
    ['vector_in', pooledSize],
  ] as const) {
    linear(`${name}.in_layer`, width, inputs);
    linear(`${name}.out_layer`, width, width);
  }
  for (let block = 0; block < double; block++) {
    for (const stream of ['img', 'txt'].map((name) => `double_blocks.${block}.${name}`)) {
      linear(`${stream}_mod.lin`, 6 * width, width);
      linear(`${stream}_attn.qkv`, 3 * width, width);
      norms(`${stream}_attn.norm`);
      linear(`${stream}_attn.proj`, width, width);
      linear(`${stream}_mlp.0`, 4 * width, width);
      linear(`${stream}_mlp.2`, width, 4 * width);
    }
  }
  for (let block = 0; block < single; block++) {
    const name = `single_blocks.${block}`;
    linear(`${name}.modulation.lin`, 3 * width, width);
    linear(`${name}.linear1`, 7 * width, width);
    linear(`${name}.linear2`, width, 5 * width);
    norms(`${name}.norm`);
  }
  linear('final_layer.adaLN_modulation.1', 2 * width, width);
  linear('final_layer.linear', 64, width);
  return shapes;
}

/** T5 v1.1 XXL's encoder, as ComfyUI stores it. */
export function t5Tensors(): Record<string, readonly number[]> {
  const [width, hidden, heads, blocks] = [contextSize, 10240, 64, 24];
  const shapes: Record<string, readonly number[]> = {
    'shared.weight': [32128, width],
    'encoder.final_layer_norm.weight': [width],
    'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight': [32, heads],
  };
  for (let block = 0; block < blocks; block++) {
    const [attention, mlp] = [0, 1].map((layer) => `encoder.block.${block}.layer.${layer}`);
    for (const name of ['q', 'k', 'v', 'o']) {
      shapes[`${attention}.SelfAttention.${name}.weight`] = [width, width];
    }
    for (const name of ['wi_0', 'wi_1']) shapes[`${mlp}.DenseReluDense.${name}.weight`] = [hidden, width];
    shapes[`${mlp}.DenseReluDense.wo.weight`] = [width, hidden];
    for (const layer of [attention, mlp]) shapes[`${layer}.layer_norm.weight`] = [width];
  }
  return shapes;
}

/** The text encoder of CLIP ViT-L/14. */
export function clipTensors(): Record<string, readonly number[]> {
  const width = pooledSize;
  const shapes: Record<string, readonly number[]> = {
    'text_model.embeddings.token_embedding.weight': [49408, width],
    'text_model.embeddings.position_embedding.weight': [77, width],
  };
  const norm = (name: string) =>
    Object.assign(shapes, { [`${name}.weight`]: [width], [`${name}.bias`]: [width] });
  const linear = (name: string, outputs: number, inputs: number) =>
    Object.assign(shapes, { [`${name}.weight`]: [outputs, inputs], [`${name}.bias`]: [outputs] });
  for (let layer = 0; layer < 12; layer++) {
    const name = `text_model.encoder.layers.${layer}`;
    for (const of of ['q_proj', 'k_proj', 'v_proj', 'out_proj'])
      linear(`${name}.self_attn.${of}`, width, width);
    linear(`${name}.mlp.fc1`, 4 * width, width);
    linear(`${name}.mlp.fc2`, width, 4 * width);
    for (const of of ['layer_norm1', 'layer_norm2']) norm(`${name}.${of}`);
  }
  norm('text_model.final_layer_norm');
  return shapes;
}

/** FLUX.1's VAE: 128 channels times 1, 2, 4 and 4, with 16 in the latent. */
export function vaeTensors(): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = {};
  const convolution = (name: string, outputs: number, inputs: number, kernel = 3) =>
    Object.assign(shapes, {
      [`${name}.weight`]: [outputs, inputs, kernel, kernel],
      [`${name}.bias`]: [outputs],
    });
  const norm = (name: string, channels: number) =>
    Object.assign(shapes, { [`${name}.weight`]: [channels], [`${name}.bias`]: [channels] });
  const block = (name: string, outputs: number, inputs: number) => {
    norm(`${name}.norm1`, inputs);
    convolution(`${name}.conv1`, outputs, inputs);
    norm(`${name}.norm2`, outputs);
    convolution(`${name}.conv2`, outputs, outputs);
    if (inputs !== outputs) convolution(`${name}.nin_shortcut`, outputs, inputs, 1);
  };
  const channels = [128, 256, 512, 512];
  const [least, most] = [channels[0]!, channels.at(-1)!];
  for (const side of ['encoder', 'decoder']) {
    for (const name of ['block_1', 'block_2']) block(`${side}.mid.${name}`, most, most);
    norm(`${side}.mid.attn_1.norm`, most);
    for (const name of ['q', 'k', 'v', 'proj_out']) convolution(`${side}.mid.attn_1.${name}`, most, most, 1);
  }
  channels.forEach((outputs, level) => {
    const finer = channels[Math.max(0, level - 1)]!;
    const coarser = channels[Math.min(channels.length - 1, level + 1)]!;
    for (let i = 0; i < 2; i++) block(`encoder.down.${level}.block.${i}`, outputs, i === 0 ? finer : outputs);
    for (let i = 0; i < 3; i++) block(`decoder.up.${level}.block.${i}`, outputs, i === 0 ? coarser : outputs);
    if (level < channels.length - 1) convolution(`encoder.down.${level}.downsample.conv`, outputs, outputs);
    if (level > 0) convolution(`decoder.up.${level}.upsample.conv`, outputs, outputs);
  });
  convolution('encoder.conv_in', least, 3);
  norm('encoder.norm_out', most);
  convolution('encoder.conv_out', 32, most);
  convolution('decoder.conv_in', most, 16);
  norm('decoder.norm_out', least);
  convolution('decoder.conv_out', 3, least);
  return shapes;
}

export type Fill = 'zeros' | 'random';

/**
 * Writes a safetensors file with these shapes. Zeros take no space on disk, but do in memory once read.
 * @returns bytes of the weights
 */
export function writeWeights(
  file: string,
  shapes: Record<string, readonly number[]>,
  dtype: 'F32' | 'F16' | 'BF16',
  fill: Fill,
): number {
  let end = 0;
  const count = (kind: string) =>
    new Set(
      Object.keys(shapes)
        .flatMap((name) => /^(\w+)\.(\d+)\./.exec(name)?.slice(1).join('.') ?? [])
        .filter((name) => name.startsWith(kind)),
    ).size;
  // With FLUX.1's width but fewer blocks, a file would count as incomplete.
  const blocks = {
    double_blocks: String(count('double_blocks')),
    single_blocks: String(count('single_blocks')),
  };
  const isTransformer = 'img_in.weight' in shapes;
  const header: Record<string, object> = isTransformer ? { __metadata__: blocks } : {};
  for (const [name, shape] of Object.entries(shapes)) {
    const begin = end;
    end += shape.reduce((product, size) => product * size, dtype === 'F32' ? 4 : 2);
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  const target = openSync(file, 'w');
  try {
    writeSync(target, Buffer.concat([prefix, json]));
    const noise = fill === 'random' ? smallNumbers(dtype) : Buffer.alloc(0);
    for (let at = 0; fill === 'random' && at < end; at += noise.length) {
      writeSync(target, noise.subarray(0, Math.min(noise.length, end - at)));
    }
  } finally {
    closeSync(target);
  }
  truncateSync(file, 8 + json.length + end);
  return end;
}

/** 16 MiB of numbers between 2^-6 and 2^-5 of either sign, like the weights of linear layers. */
function smallNumbers(dtype: 'F32' | 'F16' | 'BF16'): Buffer {
  const bytes = randomBytes(2 ** 24);
  // Sign and mantissa stay random; the exponent is set.
  const step = dtype === 'F32' ? 4 : 2;
  for (let i = step - 2; i < bytes.length; i += step) {
    const half = bytes.readUInt16LE(i);
    const number = dtype === 'F16' ? (half & 0x83ff) | 0x2400 : (half & 0x807f) | 0x3c80;
    bytes.writeUInt16LE(number, i);
  }
  return bytes;
}
