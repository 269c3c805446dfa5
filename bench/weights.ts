/** Files of FLUX's layout in any size, with weights that mean nothing: for measuring what only depends on shapes. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, truncateSync, writeSync } from 'node:fs';
import { embeddingWidth } from '../server/models/flux.ts';

export interface FluxShape {
  /** Hidden width, a multiple of 128. */
  readonly width: number;
  readonly double: number;
  readonly single: number;
}

export const headSize = 128;
export const textWidth = 4096;
export const vectorWidth = 768;
const inputColumns = 384;

/** Names and shapes as black-forest-labs stores them. */
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
  linear('img_in', width, inputColumns);
  linear('txt_in', width, textWidth);
  for (const [name, inputs] of [
    ['time_in', embeddingWidth],
    ['guidance_in', embeddingWidth],
    ['vector_in', vectorWidth],
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

export type Fill = 'zeros' | 'random';

/**
 * Writes a safetensors file of these shapes. Zeros take no place on the disk, but do in memory once they are read.
 * @returns bytes of the weights
 */
export function writeWeights(
  file: string,
  shapes: Record<string, readonly number[]>,
  dtype: 'F32' | 'F16' | 'BF16',
  fill: Fill,
): number {
  let end = 0;
  const header: Record<string, object> = {};
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

/** 16 MiB of numbers between 2^-6 and 2^-5 of either sign, as weights of linear layers have them. */
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
