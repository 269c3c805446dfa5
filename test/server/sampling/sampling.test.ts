import { describe, expect, it } from 'vitest';
import { eulerStep, predictX0 } from '../../../server/sampling/euler.ts';
import { randn } from '../../../server/sampling/noise.ts';
import { schedule, shiftExponent } from '../../../server/sampling/sigmas.ts';

/** A checksum over every value's bits and its position. */
function checksum(values: Float32Array): number {
  const bits = new Uint32Array(values.buffer);
  let sum = 0;
  for (let i = 0; i < bits.length; i++) {
    const place = (i + 1) % 65521;
    sum = (sum + (bits[i]! >>> 16) * place * 65536 + (bits[i]! & 0xffff) * place) % 2 ** 32;
  }
  return sum;
}

describe('noise', () => {
  // torch 2.13: manual_seed(seed); bits of randn(count) as uint32, times (index + 1) mod 65521, summed mod
  // 2^32.
  it.each([
    [0, 5, 3071293140],
    [7, 15, 2072976614],
    [0, 16, 4140301933],
    [7, 17, 3648086255],
    [123456, 100, 2917983663],
    [4294967295, 1000, 228403280],
    [7, 61440, 3975081926],
    [3, 1000003, 906695103],
  ])('is torch.randn bit for bit: seed %i, %i values', (seed, count, sum) => {
    expect(checksum(randn(seed, count))).toBe(sum);
  });
});

describe('the schedule', () => {
  it('falls from 1 to 0', () => {
    for (const name of ['authors', 'diffusers'] as const) {
      const sigmas = schedule(name, 28, 1024);
      expect(sigmas).toHaveLength(29);
      expect([sigmas[0], sigmas[28]]).toEqual([1, 0]);
      for (let i = 1; i < 29; i++) expect(sigmas[i]).toBeLessThan(sigmas[i - 1]!);
    }
  });

  it('is the same from both sources, to 1e-6', () => {
    for (const steps of [1, 2, 20, 28]) {
      const diffusers = schedule('diffusers', steps, 4096);
      schedule('authors', steps, 4096).forEach((sigma, i) => {
        expect(Math.abs(sigma - diffusers[i]!)).toBeLessThan(1e-6);
      });
    }
  });

  it('is shifted by the joined image’s tokens', () => {
    expect([256, 4096].map(shiftExponent)).toEqual([0.5, 1.15]);
    // e^1.15 / (e^1.15 + 1 / 0.5 - 1)
    expect(schedule('authors', 2, 4096)[1]).toBeCloseTo(3.158192909689768 / 4.158192909689768, 12);
  });
});

describe('Euler’s method', () => {
  it('reaches the picture along a straight flow, from any step', () => {
    const picture = Float32Array.of(0.5, -0.25);
    const noise = Float32Array.of(2, 1);
    const velocity = noise.map((value, i) => value - picture[i]!);
    expect(predictX0(noise, velocity, 1)).toEqual(picture);
    const sigmas = schedule('authors', 4, 256);
    let x: Float32Array = noise;
    for (let i = 0; i < 4; i++) x = eulerStep(x, velocity, sigmas[i]!, sigmas[i + 1]!);
    x.forEach((value, i) => {
      expect(value).toBeCloseTo(picture[i]!, 6);
    });
  });
});
