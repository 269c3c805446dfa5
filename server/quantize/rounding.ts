/**
 * Quantizes the weights of linear layers to 4 or 8 bits in blocks of 64 columns, for com.microsoft MatMulNBits:
 * `w = scale * (code - zero point)`.
 */

export type Bits = 4 | 8;

/** Files are written with `fitted`; `nearest` is for comparison in measurements. */
export type Rounding = 'fitted' | 'nearest';

/** Columns that share a scale and, at 4 bits, a zero point. */
export const blockSize = 64;

export interface QuantizedRows {
  /** [rows, columns / 64, 64 * bits / 8]; 4-bit codes are packed two to a byte, the first in the low half. */
  readonly codes: Uint8Array;
  /** [rows, columns / 64] */
  readonly scales: Float32Array;
  /** At 4 bits, [rows, ceil(columns / 64 / 2)], packed like the codes; at 8 bits omitted, because all are 128. */
  readonly zeroPoints?: Uint8Array;
}

/** The zero point of all 8-bit codes. */
export const zeroPoint8 = 128;
const greatest4 = 15;

/** More fittings, or also starting from clipped ranges, would lower the error by only 2% at four times the cost. */
const fittings = 3;

/**
 * @param weights [rows, columns], columns a multiple of 64
 * @throws RangeError if a weight is not finite
 */
export function quantizeRows(
  weights: Float32Array,
  columns: number,
  bits: Bits,
  rounding: Rounding = 'fitted',
): QuantizedRows {
  const blocks = columns / blockSize;
  const rows = weights.length / columns;
  if (bits === 8) return quantizeRows8(weights, blockSize);
  const codes = new Uint8Array(weights.length / 2);
  const scales = new Float32Array(rows * blocks);
  const rowBytes = Math.ceil(blocks / 2);
  const zeroPoints = new Uint8Array(rows * rowBytes);
  for (let block = 0; block < scales.length; block++) {
    const { scale, zeroPoint } = round4(weights, block * blockSize, rounding);
    scales[block] = scale;
    writeCodes4(weights, block, scale, zeroPoint, codes);
    const column = block % blocks;
    const at = Math.floor(block / blocks) * rowBytes + (column >> 1);
    zeroPoints[at] = zeroPoints[at]! | (zeroPoint << (4 * (column & 1)));
  }
  return { codes, scales, zeroPoints };
}

/**
 * Quantizes to 8 bits in blocks of any size; each weight gets the nearest of 255 values.
 * @throws RangeError if a weight is not finite
 */
export function quantizeRows8(weights: Float32Array, size: number): QuantizedRows {
  const codes = new Uint8Array(weights.length);
  const scales = new Float32Array(weights.length / size);
  for (let block = 0; block < scales.length; block++) {
    scales[block] = round8(weights, block * size, (block + 1) * size, codes);
  }
  return { codes, scales };
}

/** The weights of quantized rows, [rows, columns]. */
export function dequantizeRows({ codes, scales, zeroPoints }: QuantizedRows, columns: number): Float32Array {
  const blocks = columns / blockSize;
  const rowBytes = Math.ceil(blocks / 2);
  return Float32Array.from({ length: scales.length * blockSize }, (_, i) => {
    const block = Math.floor(i / blockSize);
    if (!zeroPoints) return scales[block]! * (codes[i]! - zeroPoint8);
    const column = block % blocks;
    const zero = zeroPoints[Math.floor(block / blocks) * rowBytes + (column >> 1)]! >> (4 * (column & 1));
    return scales[block]! * (((codes[i >> 1]! >> (4 * (i & 1))) & 15) - (zero & 15));
  });
}

function round8(weights: Float32Array, begin: number, end: number, codes: Uint8Array): number {
  let greatest = 0;
  let sum = 0;
  for (let i = begin; i < end; i++) {
    greatest = Math.max(greatest, Math.abs(weights[i]!));
    sum += weights[i]!;
  }
  checkFinite(sum);
  const scale = Math.fround(Math.max(greatest / 127, 1e-30));
  for (let i = begin; i < end; i++) codes[i] = Math.round(weights[i]! / scale) + zeroPoint8;
  return scale;
}

interface Grid {
  readonly scale: number;
  readonly zeroPoint: number;
}

/**
 * The grid of 16 values for a block. Starting from the block's range, codes and grid are fitted in turns, each least-squares optimal
 * for the other. (HQQ, Badri and Shaji 2023, does this for the zero point only, which is fractional there.)
 */
function round4(weights: Float32Array, begin: number, rounding: Rounding): Grid {
  // The zero point is one of the codes, so the range must include 0.
  let low = 0;
  let high = 0;
  let sum = 0;
  for (let i = begin; i < begin + blockSize; i++) {
    const weight = weights[i]!;
    if (weight < low) low = weight;
    if (weight > high) high = weight;
    sum += weight;
  }
  checkFinite(sum);
  if (high - low < 1e-30) return { scale: 1, zeroPoint: 0 };
  let best: Grid = { scale: 1, zeroPoint: 0 };
  let least = Number.POSITIVE_INFINITY;
  let scale = Math.fround((high - low) / greatest4);
  let zeroPoint = clampCode(-low / scale + 0.5);
  for (let turn = 0; ; turn++) {
    const inverse = 1 / scale;
    const shift = zeroPoint + 0.5;
    let squares = 0;
    let products = 0;
    let codeSquares = 0;
    let shifts = 0;
    for (let i = begin; i < begin + blockSize; i++) {
      const weight = weights[i]!;
      const code = clampCode(weight * inverse + shift) - zeroPoint;
      const error = weight - scale * code;
      squares += error * error;
      products += weight * code;
      codeSquares += code * code;
      shifts += code - weight * inverse;
    }
    if (squares < least) {
      least = squares;
      best = { scale, zeroPoint };
    }
    if (rounding === 'nearest' || turn === fittings || products <= 0) break;
    scale = Math.fround(products / codeSquares);
    zeroPoint = clampCode(zeroPoint + shifts / blockSize + 0.5);
  }
  return best;
}

function writeCodes4(
  weights: Float32Array,
  block: number,
  scale: number,
  zeroPoint: number,
  codes: Uint8Array,
): void {
  const inverse = 1 / scale;
  const shift = zeroPoint + 0.5;
  for (let i = block * blockSize; i < (block + 1) * blockSize; i += 2) {
    const first = clampCode(weights[i]! * inverse + shift);
    const second = clampCode(weights[i + 1]! * inverse + shift);
    codes[i >> 1] = first | (second << 4);
  }
}

/** The integer part of a number, clamped to 0..15. */
function clampCode(x: number): number {
  return x < 0 ? 0 : x >= greatest4 ? greatest4 : x | 0;
}

function checkFinite(sum: number): void {
  if (!Number.isFinite(sum)) throw new RangeError('it has a weight that is not a finite number');
}
