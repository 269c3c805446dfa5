import { bytesPerElement, type DType } from '../../shared/safetensors.ts';
import { type Float8, float8Values } from './float8.ts';

/** The weight types that are decoded here; ONNX Runtime reads all others itself. */
const readableTypes = ['F32', 'F16', 'BF16'] as const;

export function isReadable(dtype: string): dtype is (typeof readableTypes)[number] {
  return readableTypes.some((type) => type === dtype);
}

/** Decodes little-endian bytes of any type; integers that a double cannot hold are rounded. */
export function asNumbers(bytes: Uint8Array, dtype: DType): Float32Array | Float64Array {
  if (isReadable(dtype)) return asFloats(aligned(bytes), dtype);
  if (dtype === 'F8_E4M3' || dtype === 'F8_E5M2') {
    const values = float8Table(dtype);
    return Float32Array.from(bytes, (byte) => values[byte]!);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytesPerElement[dtype];
  const read = readers[dtype];
  return Float64Array.from({ length: bytes.length / size }, (_, i) => read(view, i * size));
}

const readers: Readonly<
  Record<Exclude<DType, (typeof readableTypes)[number] | Float8>, (view: DataView, at: number) => number>
> = {
  F64: (view, at) => view.getFloat64(at, true),
  I64: (view, at) => Number(view.getBigInt64(at, true)),
  U64: (view, at) => Number(view.getBigUint64(at, true)),
  I32: (view, at) => view.getInt32(at, true),
  U32: (view, at) => view.getUint32(at, true),
  I16: (view, at) => view.getInt16(at, true),
  U16: (view, at) => view.getUint16(at, true),
  I8: (view, at) => view.getInt8(at),
  U8: (view, at) => view.getUint8(at),
  BOOL: (view, at) => view.getUint8(at),
};

/** Typed arrays of larger elements must start at a multiple of their size. */
function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
}

const float8Tables: { [dtype in Float8]?: readonly number[] } = {};

function float8Table(dtype: Float8): readonly number[] {
  float8Tables[dtype] ??= float8Values(dtype);
  return float8Tables[dtype];
}

/** float16 ends below 2^16; from half a step below that, values round to infinity. */
const beyondFloat16 = 65520;

/** Decodes little-endian bytes of float32, float16 or bfloat16. */
export function asFloats(bytes: Uint8Array, dtype: DType): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes;
  if (dtype === 'F32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
  const floats = new Float32Array(halves.length);
  if (dtype === 'BF16') {
    const bits = new Uint32Array(floats.buffer);
    for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
    return floats;
  }
  const values = float16Values();
  for (let i = 0; i < halves.length; i++) floats[i] = values[halves[i]!]!;
  return floats;
}

let float16Table: Float32Array | undefined;

/** The value of each 16-bit float16 pattern. */
export function float16Values(): Float32Array {
  float16Table ??= Float32Array.from({ length: 65536 }, (_, half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = (half & 1023) / 1024;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
  });
  return float16Table;
}

/** The bits of the nearest float16 for each value, ties to even; out-of-range values become infinity. */
export function asFloat16(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < halves.length; i++) {
    const value = values[i]!;
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    halves[i] = sign | magnitude(Math.abs(value));
  }
  return halves;
}

function magnitude(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  if (value >= beyondFloat16) return 0x7c00;
  // A step is 2^-24 below 2^-14; above, it is 2^-10 of the power of two at or below the value.
  const exponent = value < 2 ** -14 ? -14 : Math.floor(Math.log2(value));
  const steps = value / 2 ** (exponent - 10);
  const whole = Math.floor(steps);
  const rest = steps - whole;
  const rounded = rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? whole + 1 : whole;
  // From the second power of two on, the fraction's leading bit counts into the exponent.
  return ((exponent + 14) << 10) + rounded;
}
