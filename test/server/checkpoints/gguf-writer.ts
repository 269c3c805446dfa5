import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  type BlockType,
  blockLayouts,
  valuesOfBlocks,
} from '../../../server/checkpoints/gguf/ggml-blocks.ts';
import { openStored } from '../../../server/checkpoints/header.ts';
import { asFloat16, asFloats } from '../../../server/checkpoints/numbers.ts';
import { randn } from '../../../server/sampling/noise.ts';
import { bytesOf, type Tensor } from '../../../shared/safetensors.ts';
import { tinyModel } from '../models/arrays.ts';

export const blockTypes = Object.keys(blockLayouts) as BlockType[];

/** enum ggml_type */
const typeIds = {
  F32: 0,
  F16: 1,
  BF16: 30,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q2_K: 10,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
} as const;

export interface GGUFTensor {
  readonly type: keyof typeof typeIds;
  /** [rows, columns], as everywhere here; the file has it reversed. */
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export interface GGUFOptions {
  readonly version?: number;
  readonly alignment?: number;
  /** None where it is undefined. */
  readonly architecture?: string | undefined;
  /** Further keys with their values, in bytes after the key. */
  readonly keys?: Readonly<Record<string, Buffer>>;
}

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
export const uint64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
export const text = (value: string): Buffer => Buffer.concat([uint64(value.length), Buffer.from(value)]);

/** As described in ggml's docs/gguf.md. */
export function encodeGGUF(tensors: Readonly<Record<string, GGUFTensor>>, options: GGUFOptions = {}): Buffer {
  const { version = 3, alignment = 32, keys = {} } = options;
  const architecture = 'architecture' in options ? options.architecture : 'flux';
  const all: Record<string, Buffer> = {
    ...(architecture !== undefined && {
      'general.architecture': Buffer.concat([uint32(8), text(architecture)]),
    }),
    ...(alignment !== 32 && { 'general.alignment': Buffer.concat([uint32(4), uint32(alignment)]) }),
    ...keys,
  };
  const padded = (bytes: Uint8Array) =>
    Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);
  let offset = 0;
  const infos = Object.entries(tensors).map(([name, { type, shape, data }]) => {
    const info = [text(name), uint32(shape.length), ...shape.toReversed().map(uint64)];
    info.push(uint32(typeIds[type]), uint64(offset));
    offset += padded(data).length;
    return Buffer.concat(info);
  });
  const header = [
    Buffer.from('GGUF'),
    uint32(version),
    uint64(infos.length),
    uint64(Object.keys(all).length),
    ...Object.entries(all).flatMap(([key, value]) => [text(key), value]),
    ...infos,
  ];
  const data = Object.values(tensors).map((tensor) => padded(tensor.data));
  return Buffer.concat([padded(Buffer.concat(header)), ...data]);
}

export function writeGGUF(
  file: string,
  tensors: Readonly<Record<string, GGUFTensor>>,
  options?: GGUFOptions,
): void {
  writeFileSync(file, encodeGGUF(tensors, options));
}

/** Where a block has float16 numbers: its scales and its minimums. */
const floatsAt: Readonly<Record<BlockType, readonly [number, number?]>> = {
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q8_0: [0],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};
/**
 * The root of the mean square of codes that are drawn evenly, or of their products with scales; and what
 * centres them.
 */
const spread: Readonly<Record<BlockType, readonly [number, number?]>> = {
  Q4_0: [4.6],
  Q4_1: [4.6, -7.5],
  Q5_0: [9.2],
  Q5_1: [9.2, -15.5],
  Q8_0: [74],
  Q4_K: [200, 7.5],
  Q5_K: [400, 15.5],
  Q6_K: [18.5 * 74],
};

/** Random blocks whose weights are about as large as `size`. */
export function drawBlocks(type: BlockType, weights: number, size: number, seed: number): Uint8Array {
  const { weights: inBlock, bytes: blockBytes } = blockLayouts[type];
  const count = weights / inBlock;
  // All bits but the uppermost of a float32's fraction are as good as random.
  const noise = new Uint32Array(randn(seed, Math.max(16, count * blockBytes)).buffer);
  const bytes = Uint8Array.from({ length: count * blockBytes }, (_, i) => noise[i]! >>> 3);
  const [scaleAt, minimumAt] = floatsAt[type];
  const [width, middle = 0] = spread[type];
  for (let i = 0; i < count; i++) {
    const scale = (size / width) * (0.5 + (noise[i]! % 1024) / 1024);
    bytes.set(bytesOf(asFloat16(Float32Array.of(scale))), i * blockBytes + scaleAt);
    if (minimumAt === undefined) continue;
    bytes.set(bytesOf(asFloat16(Float32Array.of(scale * middle))), i * blockBytes + minimumAt);
  }
  return bytes;
}

/**
 * The tiny transformer with its layers in blocks, cycling through all types, and the same weights
 * dequantized.
 */
export async function tinyInBlocks() {
  const { stored } = await openStored(path.join(tinyModel.folder, 'transformer.safetensors'));
  const inBlocks: Record<string, GGUFTensor> = {};
  const plain = new Map<string, Tensor>();
  const next = { 32: 0, 256: 0 };
  for (const { name, shape, data } of stored.tensors.values()) {
    const bytes = readFileSync(data.file).subarray(data.offset, data.offset + data.length);
    const floats = asFloats(Uint8Array.from(bytes), 'BF16');
    const inBlock = shape[1]! % 256 === 0 ? 256 : 32;
    if (shape.length < 2) {
      inBlocks[name] = { type: 'F32', shape, data: bytesOf(floats) };
      plain.set(name, { dtype: 'F32', shape, data: bytesOf(floats) });
      continue;
    }
    const fitting = blockTypes.filter((type) => blockLayouts[type].weights === inBlock);
    const type = fitting[next[inBlock]++ % fitting.length]!;
    const size = Math.sqrt(floats.reduce((sum, value) => sum + value * value, 0) / floats.length);
    const drawn = drawBlocks(type, floats.length, size, plain.size);
    inBlocks[`model.diffusion_model.${name}`] = { type, shape, data: drawn };
    plain.set(name, { dtype: 'F32', shape, data: bytesOf(valuesOfBlocks(type, drawn)) });
  }
  return { inBlocks, plain };
}
