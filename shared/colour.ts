/**
 * Matches the generated picture's colours to the document's. The pixels around the mask show the same thing
 * in both; their difference is extended into the mask as a smooth field, so the correction may vary over the
 * picture. A single global one is not enough.
 */
import { type Planar, planar } from './image.ts';

/** IEC 61966-2-1: encoded sRGB in [0, 1] to linear light. */
export function linearFromSRGB(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

export function sRGBFromLinear(value: number): number {
  return value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055;
}

/**
 * Beyond this difference in linear light, two pixels hardly show the same thing: they count a fifth or less.
 */
const sameThing = 0.05;
/** The largest correction of a pixel in linear light: a larger difference is content, not a colour cast. */
const largestShift = 0.08;
/** Pyramid levels too fine to show a colour cast: they only show detail. */
const fineLevels = 3;

/**
 * Corrects `generated` where `mask` is 1, so that its surroundings match those of `original`; the rest stays.
 * Changes nothing if the mask leaves no surroundings.
 * @param generated [3, h, w] in [-1, 1]
 * @param original [3, h, w] in [-1, 1]
 * @param mask [1, h, w], 1 = generated
 */
export function matchSurroundings(generated: Planar, original: Planar, mask: Planar): Planar {
  const { width, height } = generated;
  const area = width * height;
  const known = { width, height, channels: 4, data: new Float32Array(4 * area) } satisfies Planar;
  for (let i = 0; i < area; i++) {
    if (mask.data[i]! > 0) continue;
    for (let c = 0; c < 3; c++) {
      known.data[c * area + i] = light(original.data[c * area + i]!) - light(generated.data[c * area + i]!);
    }
    known.data[3 * area + i] = 1;
  }
  // Smooth first: with grain, single pixels differ by more than any cast, and their weights would be random.
  smooth(known);
  smooth(known);
  for (let i = 0; i < area; i++) {
    if (mask.data[i]! > 0) continue;
    const differences = [0, 1, 2].map((c) => known.data[c * area + i]!);
    const off = Math.max(...differences.map(Math.abs)) / sameThing;
    const weight = 1 / (1 + off * off) ** 2;
    for (let c = 0; c < 3; c++) known.data[c * area + i] = differences[c]! * weight;
    known.data[3 * area + i] = weight;
  }
  const field = spread(known, 0);
  const matched = { ...generated, data: generated.data.slice() };
  if (!field) return matched;
  for (let i = 0; i < area; i++) {
    if (mask.data[i] === 0) continue;
    for (let c = 0; c < 3; c++) {
      const shift = Math.max(-largestShift, Math.min(largestShift, field.data[c * area + i]!));
      const value = Math.max(0, light(generated.data[c * area + i]!) + shift);
      matched.data[c * area + i] = sRGBFromLinear(value) * 2 - 1;
    }
  }
  return matched;
}

function light(value: number): number {
  return linearFromSRGB(Math.min(1, Math.max(0, (value + 1) / 2)));
}

/** Radius of the smoothing, in pixels. */
const smoothing = 3;

/** Means of the known pixels in each square; along rows, then along columns. Unknown pixels stay 0. */
function smooth({ width, height, data }: Planar): void {
  const area = width * height;
  const line = (start: number, stride: number, length: number) => {
    const sums = new Float64Array(4 * (length + 1));
    for (let k = 0; k < length; k++) {
      const i = start + k * stride;
      const weight = data[3 * area + i]!;
      for (let c = 0; c < 3; c++) sums[4 * (k + 1) + c] = sums[4 * k + c]! + data[c * area + i]! * weight;
      sums[4 * (k + 1) + 3] = sums[4 * k + 3]! + weight;
    }
    for (let k = 0; k < length; k++) {
      const i = start + k * stride;
      if (data[3 * area + i] === 0) continue;
      const [from, to] = [Math.max(0, k - smoothing), Math.min(length, k + smoothing + 1)];
      const count = sums[4 * to + 3]! - sums[4 * from + 3]!;
      for (let c = 0; c < 3; c++) data[c * area + i] = (sums[4 * to + c]! - sums[4 * from + c]!) / count;
    }
  };
  for (let y = 0; y < height; y++) line(y * width, 1, width);
  for (let x = 0; x < width; x++) line(x, width, height);
}

/**
 * Spreads values smoothly from where they are known to everywhere else.
 * @param known [4, h, w]: three values already multiplied by their weight, and the weight
 * @returns undefined if nothing is known
 */
export function spreadKnown(known: Planar): Planar | undefined {
  return spread(known, 0);
}

/**
 * Push-pull (Gortler et al. 1996): averages known values down a pyramid, and fills unknown ones from the
 * coarser level. Known values have little weight on the finest levels, so detail does not get through.
 * @param known [4, h, w]: three values already multiplied by their weight, and the weight
 * @returns the three values everywhere, and the weight; undefined if nothing is known
 */
function spread(known: Planar, level: number): Planar | undefined {
  const { width, height, data } = known;
  const area = width * height;
  if (width === 1 && height === 1) {
    const weight = data[3]!;
    if (weight < 1e-3) return undefined;
    return { ...known, data: Float32Array.of(data[0]! / weight, data[1]! / weight, data[2]! / weight, 1) };
  }
  const coarse = spread(halved(known), level + 1);
  if (!coarse) return undefined;
  const filled = planar(4, known);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const weight = level < fineLevels ? 0 : Math.min(1, data[3 * area + i]!);
      for (let c = 0; c < 3; c++) {
        const own = weight > 0 ? (data[c * area + i]! / data[3 * area + i]!) * weight : 0;
        filled.data[c * area + i] = own + (1 - weight) * between(coarse, c, x, y);
      }
    }
  }
  return filled;
}

/** Averages 2x2 values, or fewer at odd ends, so that an edge does not count as unknown. */
function halved(image: Planar): Planar {
  const half = planar(4, { width: Math.ceil(image.width / 2), height: Math.ceil(image.height / 2) });
  for (let c = 0; c < 4; c++) {
    for (let y = 0; y < half.height; y++) {
      const rows = Math.min(2, image.height - 2 * y);
      for (let x = 0; x < half.width; x++) {
        const columns = Math.min(2, image.width - 2 * x);
        let sum = 0;
        for (let dy = 0; dy < rows; dy++) {
          for (let dx = 0; dx < columns; dx++) {
            sum += image.data[(c * image.height + 2 * y + dy) * image.width + 2 * x + dx]!;
          }
        }
        half.data[(c * half.height + y) * half.width + x] = sum / (rows * columns);
      }
    }
  }
  return half;
}

/** Samples the coarser level bilinearly at a pixel of the finer one. */
function between(coarse: Planar, c: number, x: number, y: number): number {
  const { width, height, data } = coarse;
  const cx = Math.min(width - 1, Math.max(0, x / 2 - 0.25));
  const cy = Math.min(height - 1, Math.max(0, y / 2 - 0.25));
  const left = Math.floor(cx);
  const top = Math.floor(cy);
  const right = Math.min(width - 1, left + 1);
  const bottom = Math.min(height - 1, top + 1);
  const at = (column: number, row: number) => data[(c * height + row) * width + column]!;
  const fx = cx - left;
  const fy = cy - top;
  return (
    (at(left, top) * (1 - fx) + at(right, top) * fx) * (1 - fy) +
    (at(left, bottom) * (1 - fx) + at(right, bottom) * fx) * fy
  );
}
