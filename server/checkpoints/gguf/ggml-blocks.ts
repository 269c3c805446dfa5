/**
 * Weights in ggml's blocks, as GGUF files store them (llama.cpp: the structs in ggml-common.h,
 * dequantize_row_* in ggml-quants.c). A block holds 32 or 256 neighbouring weights of a row as small
 * integers, the codes; a group of them shares a scale and, in some types, a minimum:
 * `w = scale * (code - centre)` or `w = scale * code - minimum`.
 */
import { float16Values } from '../numbers.ts';

interface Layout {
  /** Weights per block, and its size in bytes. */
  readonly weights: 32 | 256;
  readonly bytes: number;
  /** Number of weights that share a scale. */
  readonly group: 16 | 32;
  /** The code for 0; a type without one has minimums. */
  readonly centre?: number;
  readonly read: (block: Block, codes: Uint8Array, scales: Float32Array, minimums: Float32Array) => void;
}

/** Where a block is read from, and where its first code and group are written. */
interface Block {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly code: number;
  readonly group: number;
}

export interface BlockCodes {
  /** [weights], from 0 up */
  readonly codes: Uint8Array;
  /** [weights / group] */
  readonly scales: Float32Array;
  readonly minimums?: Float32Array;
}

/** Both halves of this many bytes: the low halves are the first codes. */
function readNibbles(bytes: Uint8Array, at: number, codes: Uint8Array, first: number, half: number): void {
  for (let i = 0; i < half; i++) {
    const byte = bytes[at + i]!;
    codes[first + i] = byte & 15;
    codes[first + half + i] = byte >> 4;
  }
}

/** Adds the fifth bits of 32 codes; bit `i` belongs to code `i`. */
function addFifthBits(bytes: Uint8Array, at: number, codes: Uint8Array, first: number): void {
  for (let i = 0; i < 32; i++) codes[first + i]! |= ((bytes[at + (i >> 3)]! >> (i & 7)) & 1) << 4;
}

function float16(bytes: Uint8Array, at: number): number {
  return float16Values()[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

/**
 * Scales and minimums of the 8 groups of Q4_K and Q5_K: 6 bits each in 12 bytes, times one factor for all.
 */
function readScales({ bytes, at, group }: Block, scales: Float32Array, minimums: Float32Array): void {
  const [scale, minimum] = [float16(bytes, at), float16(bytes, at + 2)];
  const packed = at + 4;
  for (let i = 0; i < 4; i++) {
    const [low, high, rest] = [bytes[packed + i]!, bytes[packed + 4 + i]!, bytes[packed + 8 + i]!];
    scales[group + i] = scale * (low & 63);
    minimums[group + i] = minimum * (high & 63);
    scales[group + 4 + i] = scale * ((rest & 15) | ((low >> 6) << 4));
    minimums[group + 4 + i] = minimum * ((rest >> 4) | ((high >> 6) << 4));
  }
}

export const blockLayouts = {
  Q4_0: {
    weights: 32,
    bytes: 18,
    group: 32,
    centre: 8,
    read({ bytes, at, code, group }, codes, scales) {
      scales[group] = float16(bytes, at);
      readNibbles(bytes, at + 2, codes, code, 16);
    },
  },
  Q4_1: {
    weights: 32,
    bytes: 20,
    group: 32,
    read({ bytes, at, code, group }, codes, scales, minimums) {
      scales[group] = float16(bytes, at);
      // In this type, ggml adds the minimum.
      minimums[group] = -float16(bytes, at + 2);
      readNibbles(bytes, at + 4, codes, code, 16);
    },
  },
  Q5_0: {
    weights: 32,
    bytes: 22,
    group: 32,
    centre: 16,
    read({ bytes, at, code, group }, codes, scales) {
      scales[group] = float16(bytes, at);
      readNibbles(bytes, at + 6, codes, code, 16);
      addFifthBits(bytes, at + 2, codes, code);
    },
  },
  Q5_1: {
    weights: 32,
    bytes: 24,
    group: 32,
    read({ bytes, at, code, group }, codes, scales, minimums) {
      scales[group] = float16(bytes, at);
      minimums[group] = -float16(bytes, at + 2);
      readNibbles(bytes, at + 8, codes, code, 16);
      addFifthBits(bytes, at + 4, codes, code);
    },
  },
  Q8_0: {
    weights: 32,
    bytes: 34,
    group: 32,
    centre: 128,
    read({ bytes, at, code, group }, codes, scales) {
      scales[group] = float16(bytes, at);
      // Two's complement, from -128.
      for (let i = 0; i < 32; i++) codes[code + i] = bytes[at + 2 + i]! ^ 128;
    },
  },
  Q4_K: {
    weights: 256,
    bytes: 144,
    group: 32,
    read(block, codes, scales, minimums) {
      readScales(block, scales, minimums);
      const { bytes, at, code } = block;
      for (let i = 0; i < 4; i++) readNibbles(bytes, at + 16 + 32 * i, codes, code + 64 * i, 32);
    },
  },
  Q5_K: {
    weights: 256,
    bytes: 176,
    group: 32,
    read(block, codes, scales, minimums) {
      readScales(block, scales, minimums);
      const { bytes, at, code } = block;
      for (let i = 0; i < 4; i++) readNibbles(bytes, at + 48 + 32 * i, codes, code + 64 * i, 32);
      // Byte `i % 32` holds the fifth bits of codes `i`, one per group.
      for (let i = 0; i < 256; i++) codes[code + i]! |= ((bytes[at + 16 + (i & 31)]! >> (i >> 5)) & 1) << 4;
    },
  },
  Q6_K: {
    weights: 256,
    bytes: 210,
    group: 16,
    centre: 32,
    read({ bytes, at, code, group }, codes, scales) {
      const scale = float16(bytes, at + 208);
      for (let i = 0; i < 16; i++) scales[group + i] = scale * ((bytes[at + 192 + i]! << 24) >> 24);
      for (const half of [0, 1]) {
        const first = code + 128 * half;
        readNibbles(bytes, at + 64 * half, codes, first, 64);
        // Two upper bits of each code: a byte holds those of codes `i`, `i + 32`, `i + 64` and `i + 96`.
        for (let i = 0; i < 128; i++) {
          const upper = bytes[at + 128 + 32 * half + (i & 31)]! >> (2 * (i >> 5));
          codes[first + i]! |= (upper & 3) << 4;
        }
      }
    },
  },
} as const satisfies Readonly<Record<string, Layout>>;

export type BlockType = keyof typeof blockLayouts;

/** Typed as the layouts are declared, not as each one is. */
export function blockLayoutOf(type: BlockType): Layout {
  return blockLayouts[type];
}

export function isBlockType(type: string): type is BlockType {
  return Object.hasOwn(blockLayouts, type);
}

/** @param bytes whole blocks only */
export function readBlocks(type: BlockType, bytes: Uint8Array): BlockCodes {
  const { weights, bytes: blockBytes, group, centre, read } = blockLayoutOf(type);
  const count = bytes.length / blockBytes;
  const codes = new Uint8Array(count * weights);
  const scales = new Float32Array(codes.length / group);
  const minimums = new Float32Array(centre === undefined ? scales.length : 0);
  const groups = weights / group;
  for (let i = 0; i < count; i++) {
    read({ bytes, at: i * blockBytes, code: i * weights, group: i * groups }, codes, scales, minimums);
  }
  return { codes, scales, ...(centre === undefined && { minimums }) };
}

/** The dequantized weights, computed in float32 as llama.cpp does. */
export function valuesOfBlocks(type: BlockType, bytes: Uint8Array): Float32Array {
  const { group, centre = 0 } = blockLayoutOf(type);
  const { codes, scales, minimums } = readBlocks(type, bytes);
  const values = new Float32Array(codes.length);
  for (let i = 0; i < values.length; i++) {
    const at = Math.floor(i / group);
    const value = Math.fround(scales[at]! * (codes[i]! - centre));
    values[i] = minimums ? value - minimums[at]! : value;
  }
  return values;
}
