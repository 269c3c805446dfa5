/** Finds weights that are NaN or infinite: a single one turns everything computed from it into NaN. */
import { type FileHandle, open } from 'node:fs/promises';
import { readAt } from '../disk/read-range.ts';
import type { StoredTensor } from './tensor.ts';

/** A multiple of every element's size. */
const bytesAtOnce = 2 ** 23;

/**
 * Element size in bytes, and the bits that are all set only in NaN and infinity. Integers and quantized
 * blocks have neither.
 */
const exponents: Readonly<Record<string, { readonly bytes: 1 | 2 | 4 | 8; readonly bits: number }>> = {
  F64: { bytes: 8, bits: 0x7ff00000 },
  F32: { bytes: 4, bits: 0x7f800000 },
  F16: { bytes: 2, bits: 0x7c00 },
  BF16: { bytes: 2, bits: 0x7f80 },
  // E4M3 has no infinity; NaN is all ones.
  F8_E4M3: { bytes: 1, bits: 0x7f },
  F8_E5M2: { bytes: 1, bits: 0x7c },
};

/** The first tensor with a value that is not finite. Reads every byte of the given tensors. */
export async function findNotFinite(tensors: Iterable<StoredTensor>): Promise<StoredTensor | undefined> {
  const handles = new Map<string, FileHandle>();
  try {
    for (const tensor of tensors) {
      const form = exponents[tensor.dtype];
      if (!form) continue;
      const { file, offset, length } = tensor.data;
      const handle = handles.get(file) ?? (await open(file, 'r'));
      handles.set(file, handle);
      for (let at = 0; at < length; at += bytesAtOnce) {
        const bytes = await readAt(handle, offset + at, Math.min(bytesAtOnce, length - at));
        if (hasNotFinite(bytes, form.bytes, form.bits)) return tensor;
      }
    }
    return undefined;
  } finally {
    for (const handle of handles.values()) await handle.close();
  }
}

function hasNotFinite(bytes: Uint8Array, size: 1 | 2 | 4 | 8, bits: number): boolean {
  // `readAt` returns fresh buffers, which are aligned for any element type.
  const { buffer, byteOffset, length } = bytes;
  const words =
    size === 1
      ? bytes
      : size === 2
        ? new Uint16Array(buffer, byteOffset, length / 2)
        : new Uint32Array(buffer, byteOffset, length / 4);
  // For a double, the upper half, which comes second.
  const [first, step] = size === 8 ? [1, 2] : [0, 1];
  for (let i = first; i < words.length; i += step) if ((words[i]! & bits) === bits) return true;
  return false;
}

export function isAllFinite(values: Float32Array): boolean {
  // A sum of finite numbers can overflow float32, but not a double.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return Number.isFinite(sum);
}
