/**
 * `torch.manual_seed(seed); torch.randn(count)` on the CPU, value for value in float32, so a seed gives the same start as in the
 * Python pipelines. Follows aten/src/ATen/core/{MT19937RNGEngine,TransformationHelper}.h and
 * native/cpu/DistributionTemplates.h (`normal_fill`).
 */

/** Matsumoto & Nishimura 1998, 32 bits. */
class MersenneTwister {
  readonly #state = new Uint32Array(624);
  #next = 624;

  constructor(seed: number) {
    this.#state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const before = this.#state[i - 1]!;
      this.#state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
    }
  }

  /** 32 random bits. */
  next(): number {
    if (this.#next === 624) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < 624; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff);
      state[i] = state[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }

  /** 24 random bits as a float32 in [0, 1). */
  uniform24(): number {
    return (this.next() & 0xffffff) * 2 ** -24;
  }

  /** 53 random bits as a double in [0, 1); the first draw is the upper half. */
  uniform53(): number {
    const high = this.next();
    const low = this.next();
    return ((high & 0x1fffff) * 2 ** 32 + low) * 2 ** -53;
  }
}

const blockSize = 16;

/**
 * Draws `count` values from the standard normal distribution.
 * @param seed 0..2^32-1
 */
export function randn(seed: number, count: number): Float32Array {
  const random = new MersenneTwister(seed >>> 0);
  return count < blockSize ? scalarNormals(random, count) : blockNormals(random, count);
}

function blockNormals(random: MersenneTwister, count: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = random.uniform24();
  for (let i = 0; i + blockSize <= count; i += blockSize) boxMuller(values, i);
  if (count % blockSize !== 0) {
    // torch redraws the last 16, overlapping some that are done.
    const tail = count - blockSize;
    for (let i = tail; i < count; i++) values[i] = random.uniform24();
    boxMuller(values, tail);
  }
  return values;
}

/** Turns 16 uniforms into normals, element i with element i + 8, in float32. */
function boxMuller(values: Float32Array, start: number): void {
  for (let i = start; i < start + 8; i++) {
    const radius = fround(Math.sqrt(fround(-2 * logFloat32(fround(1 - values[i]!)))));
    const { sine, cosine } = sineCosineFloat32(fround(fround(2 * Math.PI) * values[i + 8]!));
    values[i] = radius * cosine;
    values[i + 8] = radius * sine;
  }
}

// torch's normal_fill_AVX2 uses logarithm, sine and cosine from avx_mathfun.h (Cephes' polynomials), which differ from the
// exact values in the last bit; gcc fuses the multiplications and additions, and so do the functions below.

const { fround } = Math;

/** a * b + c, rounded once: the product of two float32 is exact in a double. */
function fused(a: number, b: number, c: number): number {
  return fround(a * b + c);
}

/** The polynomial with these coefficients, highest power first. */
function horner(coefficients: Float32Array, x: number): number {
  let y = coefficients[0]!;
  for (let i = 1; i < coefficients.length; i++) y = fused(y, x, coefficients[i]!);
  return y;
}

const logPolynomial = Float32Array.of(
  7.0376836292e-2,
  -1.151461031e-1,
  1.167699874e-1,
  -1.2420140846e-1,
  1.4249322787e-1,
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1,
);
const logTwoLow = fround(-2.1219444e-4);
const logTwoHigh = fround(0.693359375);
const rootHalf = fround(Math.SQRT1_2);
const word = new DataView(new ArrayBuffer(4));

/** `log256_ps` of a value in (0, 1]. */
function logFloat32(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  let exponent = (bits >>> 23) - 126;
  word.setUint32(0, (bits & 0x7fffff) | 0x3f000000);
  let x = word.getFloat32(0);
  if (x < rootHalf) {
    exponent--;
    x = fround(fround(x - 1) + x);
  } else {
    x = fround(x - 1);
  }
  const square = fround(x * x);
  let y = fround(horner(logPolynomial, x) * x);
  y = fused(y, square, fround(exponent * logTwoLow));
  y = fused(-square, 0.5, y);
  return fused(exponent, logTwoHigh, fround(x + y));
}

const sinePolynomial = Float32Array.of(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1);
const cosinePolynomial = Float32Array.of(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2);
/** Pi / 4 in three parts, negative (Cody and Waite). */
const minusQuarterPi = Float32Array.of(-0.78515625, -2.4187564849853516e-4, -3.774894977445941e-8);
const fourOverPi = fround(4 / Math.PI);

/** `sincos256_ps` of an angle of 0 or more. */
function sineCosineFloat32(angle: number): { readonly sine: number; readonly cosine: number } {
  const octant = (Math.trunc(fround(angle * fourOverPi)) + 1) & ~1;
  let x = angle;
  for (const part of minusQuarterPi) x = fused(octant, part, x);
  const square = fround(x * x);
  const even = fround(horner(cosinePolynomial, square) * square);
  const nearOne = fround(fused(even, square, -fround(square * 0.5)) + 1);
  const nearZero = fused(fround(horner(sinePolynomial, square) * square), x, x);
  const isSwapped = (octant & 2) !== 0;
  return {
    sine: (octant & 4 ? -1 : 1) * (isSwapped ? nearOne : nearZero),
    cosine: ((octant - 2) & 4 ? 1 : -1) * (isSwapped ? nearZero : nearOne),
  };
}

/** The path for fewer than 16 values: doubles, and the sine kept for the next call. */
function scalarNormals(random: MersenneTwister, count: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const angle = 2 * Math.PI * random.uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-random.uniform53()));
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}
