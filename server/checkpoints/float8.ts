/** The value of each byte of F8_E4M3 (ONNX' FLOAT8E4M3FN): 4 bits of exponent with the bias 7, 3 of mantissa, no infinity. */
export function float8Values(): number[] {
  return Array.from({ length: 256 }, (_, byte) => {
    const sign = byte & 0x80 ? -1 : 1;
    const exponent = (byte >> 3) & 15;
    const mantissa = byte & 7;
    if (exponent === 15 && mantissa === 7) return Number.NaN;
    return sign * (exponent === 0 ? (mantissa / 8) * 2 ** -6 : (1 + mantissa / 8) * 2 ** (exponent - 7));
  });
}
