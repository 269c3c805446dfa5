/**
 * The two float8 types of checkpoints: E4M3 without infinities (ONNX's FLOAT8E4M3FN) and E5M2 (OCP 8-bit
 * floating point, section 5).
 */
export type Float8 = 'F8_E4M3' | 'F8_E5M2';

export function isFloat8(dtype: string): dtype is Float8 {
  return dtype === 'F8_E4M3' || dtype === 'F8_E5M2';
}

/** The value of each byte. */
export function float8Values(dtype: Float8): number[] {
  return Array.from({ length: 256 }, (_, byte) => {
    const sign = byte & 0x80 ? -1 : 1;
    return sign * (dtype === 'F8_E4M3' ? e4m3(byte & 0x7f) : e5m2(byte & 0x7f));
  });
}

/** 4 exponent bits with a bias of 7, 3 mantissa bits. */
function e4m3(bits: number): number {
  const [exponent, mantissa] = [bits >> 3, (bits & 7) / 8];
  if (bits === 0x7f) return Number.NaN;
  return exponent === 0 ? mantissa * 2 ** -6 : (1 + mantissa) * 2 ** (exponent - 7);
}

/** 5 exponent bits with a bias of 15, 2 mantissa bits. */
function e5m2(bits: number): number {
  const [exponent, mantissa] = [bits >> 2, (bits & 3) / 4];
  if (exponent === 31) return mantissa === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? mantissa * 2 ** -14 : (1 + mantissa) * 2 ** (exponent - 15);
}
