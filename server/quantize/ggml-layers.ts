/** Converts linear layers in ggml's blocks for com.microsoft MatMulNBits: `w = scale * (code - zero point)`. */
import { bytesOf, type DType } from '../../shared/safetensors.ts';
import {
  type BlockCodes,
  type BlockType,
  blockLayoutOf,
  readBlocks,
  valuesOfBlocks,
} from '../checkpoints/gguf/ggml-blocks.ts';
import { asFloat16, float16Values } from '../checkpoints/numbers.ts';
import { type Bits, quantizeRows8, zeroPoint8 } from './rounding.ts';

interface Form {
  readonly bits: Bits;
  /** Columns that share a scale. */
  readonly block: 16 | 32;
  /** For 4 bits: packed two to a byte, or numbers, because minimums are not multiples of a scale. */
  readonly zeroPoints?: 'U8' | 'F16';
  /** Codes are requantized from the values. */
  readonly isFitted?: true;
}

/**
 * Codes stay as they are, except for Q5_1 and Q5_K: their minimums would be fractional zero points, which ONNX Runtime 1.29 supports
 * on the CPU only for 4 bits. They are fitted in blocks of 16, with an error of 0.47% on normally distributed weights (blocks of 32:
 * 0.54%).
 * Scales are float16: blocks of 32 weights store them that way; for blocks of 256 they are products, rounded to 11 bits.
 */
const forms: Readonly<Record<BlockType, Form>> = {
  Q4_0: { bits: 4, block: 32, zeroPoints: 'U8' },
  Q4_1: { bits: 4, block: 32, zeroPoints: 'F16' },
  Q4_K: { bits: 4, block: 32, zeroPoints: 'F16' },
  Q5_0: { bits: 8, block: 32 },
  Q5_1: { bits: 8, block: 16, isFitted: true },
  Q5_K: { bits: 8, block: 16, isFitted: true },
  Q6_K: { bits: 8, block: 16 },
  Q8_0: { bits: 8, block: 32 },
};

/** Bits of a layer's codes after conversion. */
export function layerBits(type: BlockType): Bits {
  return forms[type].bits;
}

/** If a minimum exceeds this many scales, float16 cannot tell the weights of its group apart. */
const largestZeroPoint = 2 ** 15;

interface LayerTensor {
  /** Appended to the weight's name. */
  readonly suffix: '' | '.scales' | '.zero_points';
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** The tensors that a weight [rows, columns] becomes, in the order of `layerBytes`. */
export function layerTensors(type: BlockType, rows: number, columns: number): LayerTensor[] {
  const { bits, block, zeroPoints } = forms[type];
  const blocks = columns / block;
  return [
    { suffix: '', dtype: 'U8', shape: [rows, blocks, (block * bits) / 8] },
    { suffix: '.scales', dtype: 'F16', shape: [rows, blocks] },
    ...(zeroPoints === 'F16'
      ? [{ suffix: '.zero_points', dtype: 'F16', shape: [rows, blocks] } as const]
      : []),
    ...(zeroPoints === 'U8'
      ? [{ suffix: '.zero_points', dtype: 'U8', shape: [rows, Math.ceil(blocks / 2)] } as const]
      : []),
  ];
}

/**
 * The bytes of those tensors.
 * @param bytes of whole rows
 * @throws RangeError if a weight is not finite, or exceeds float16
 */
export function layerBytes(type: BlockType, bytes: Uint8Array, columns: number): Uint8Array[] {
  const { bits, block, zeroPoints, isFitted } = forms[type];
  if (isFitted) {
    const { codes, scales } = quantizeRows8(valuesOfBlocks(type, bytes), block);
    return [codes, bytesOf(finite(asFloat16(scales)))];
  }
  const read = readBlocks(type, bytes);
  if (zeroPoints === 'F16') return withZeroPoints(read, block);
  const scales = finite(asFloat16(read.scales));
  const { codes } = read;
  if (bits === 4) {
    const rows = codes.length / columns;
    const zeros = new Uint8Array(rows * Math.ceil(columns / block / 2)).fill(0x88);
    return [packed(codes), bytesOf(scales), zeros];
  }
  const shift = zeroPoint8 - blockLayoutOf(type).centre!;
  for (let i = 0; i < codes.length; i++) codes[i]! += shift;
  return [codes, bytesOf(scales)];
}

/** `scale * code - minimum` as `scale * (code - minimum / scale)`. */
function withZeroPoints({ codes, scales, minimums }: BlockCodes, block: number): Uint8Array[] {
  const values = float16Values();
  const rounded = finite(asFloat16(scales));
  const zeroPoints = new Float32Array(scales.length);
  for (let i = 0; i < scales.length; i++) {
    // Divide by the scale as stored, so that their product is the minimum.
    const scale = values[rounded[i]!]!;
    const minimum = minimums![i]!;
    if (Math.abs(minimum) < largestZeroPoint * Math.abs(scale)) {
      zeroPoints[i] = minimum / scale;
      continue;
    }
    // All weights are -minimum.
    codes.fill(0, i * block, (i + 1) * block);
    rounded[i] = finite(asFloat16(Float32Array.of(minimum)))[0]!;
    zeroPoints[i] = 1;
  }
  return [packed(codes), bytesOf(rounded), bytesOf(asFloat16(zeroPoints))];
}

/** Packs two codes into a byte, the first in the low half. */
function packed(codes: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(codes.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = codes[2 * i]! | (codes[2 * i + 1]! << 4);
  return bytes;
}

function finite(halves: Uint16Array): Uint16Array {
  for (const half of halves) {
    if ((half & 0x7c00) === 0x7c00) throw new RangeError('it has a scale that float16 cannot represent');
  }
  return halves;
}
