/**
 * `torch.manual_seed(seed); torch.randn(count)` on the CPU, value for value in float32, so that a seed means the same start as
 * in the Python pipelines. Follows aten/src/ATen/core/{MT19937RNGEngine,TransformationHelper}.h and
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
 * `count` values of the standard normal distribution.
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
    // torch draws the last 16 anew, over some that were done.
    const tail = count - blockSize;
    for (let i = tail; i < count; i++) values[i] = random.uniform24();
    boxMuller(values, tail);
  }
  return values;
}

/** Turns 16 uniforms into normals, element i with element i + 8, in float32. */
function boxMuller(values: Float32Array, start: number): void {
  const { fround } = Math;
  for (let i = start; i < start + 8; i++) {
    const radius = fround(Math.sqrt(fround(-2 * fround(Math.log(fround(1 - values[i]!))))));
    const theta = fround(fround(2 * Math.PI) * values[i + 8]!);
    values[i] = radius * fround(Math.cos(theta));
    values[i + 8] = radius * fround(Math.sin(theta));
  }
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
