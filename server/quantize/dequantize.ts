import { isBlockType } from '../checkpoints/gguf/ggml-blocks.ts';
import { asNumbers } from '../checkpoints/numbers.ts';
import { matrixShape, type StoredTensor } from '../checkpoints/tensor.ts';
import { zeroPoint8 } from './rounding.ts';

/**
 * A checkpoint weight as the numbers the graphs compute with, [rows, columns]. For the blocks see rounding.ts, for float8 scales
 * weights-file.ts.
 */
export async function dequantize(
  tensor: StoredTensor,
  read: (tensor: StoredTensor) => Promise<Uint8Array>,
): Promise<Float32Array> {
  const numbers = async (of: StoredTensor) => {
    const { dtype } = of;
    if (isBlockType(dtype)) throw new Error(`"${of.name}" is ${dtype}, which must be converted first`);
    return Float32Array.from(asNumbers(await read(of), dtype));
  };
  const [rows, columns] = matrixShape(tensor);
  if (tensor.storage !== 'blocks') {
    const values = await numbers(tensor);
    if (tensor.storage === 'plain') return values;
    const scales = await numbers(tensor.scale);
    return values.map(
      (value, i) => value * (scales.length === 1 ? scales[0]! : scales[Math.floor(i / columns)]!),
    );
  }
  const { scale, zeroPoints } = tensor;
  const codes = await read(tensor);
  const scales = await numbers(scale);
  const blocks = scales.length / rows;
  const block = columns / blocks;
  const zeroOf = zeroPoints ? await zeroPointOf(zeroPoints, blocks, read, numbers) : () => zeroPoint8;
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const at = Math.floor(i / block);
    const code = zeroPoints ? (codes[i >> 1]! >> (4 * (i & 1))) & 15 : codes[i]!;
    return scales[at]! * (code - zeroOf(at));
  });
}

/** The zero points of 4-bit blocks, stored as numbers, or as 4-bit codes packed two to a byte per row. */
async function zeroPointOf(
  zeroPoints: StoredTensor,
  blocks: number,
  read: (tensor: StoredTensor) => Promise<Uint8Array>,
  numbers: (tensor: StoredTensor) => Promise<Float32Array>,
): Promise<(block: number) => number> {
  if (zeroPoints.dtype !== 'U8') {
    const values = await numbers(zeroPoints);
    return (block) => values[block]!;
  }
  const bytes = await read(zeroPoints);
  const rowBytes = Math.ceil(blocks / 2);
  return (block) => {
    const [row, column] = [Math.floor(block / blocks), block % blocks];
    return (bytes[row * rowBytes + (column >> 1)]! >> (4 * (column & 1))) & 15;
  };
}
