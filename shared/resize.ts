import type { Bounds } from './bounds.ts';
import { boundsOf, type Size } from './bounds.ts';
import { type Planar, planar, type Raster, whiteOf } from './image.ts';

/** Rows that can be read one at a time, so no picture needs a float copy. */
export interface RowSource extends Size {
  readonly channels: number;
  /** Writes row `y` as [width, channels] into `into`. */
  row(y: number, into: Float32Array): void;
}

/**
 * The part of a picture inside `part` as rows of RGB in [-1, 1]. Beyond the picture's edge, the nearest pixel
 * repeats; transparent pixels are blended with white, as hosts show them.
 */
export function rowsOf(picture: Raster, part: Bounds): RowSource {
  const { data, width, height, channels } = picture;
  const white = whiteOf(picture);
  return {
    width: part.width,
    height: part.height,
    channels: 3,
    row(y, into) {
      const start = Math.min(height - 1, Math.max(0, y + part.top)) * width;
      for (let x = 0; x < part.width; x++) {
        const from = (start + Math.min(width - 1, Math.max(0, x + part.left))) * channels;
        const alpha = channels === 4 ? data[from + 3]! / white : 1;
        for (let c = 0; c < 3; c++) {
          into[x * 3 + c] = ((data[from + c]! / white) * alpha + 1 - alpha) * 2 - 1;
        }
      }
    },
  };
}

/** A planar image as rows. */
export function rowsOfPlanar(image: Planar): RowSource {
  const { width, height, channels, data } = image;
  return {
    width,
    height,
    channels,
    row(y, into) {
      for (let c = 0; c < channels; c++) {
        const from = (c * height + y) * width;
        for (let x = 0; x < width; x++) into[x * channels + c] = data[from + x]!;
      }
    },
  };
}

interface Kernel {
  readonly support: number;
  weight(distance: number): number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

const kernels = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  lanczos: { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
} satisfies Record<string, Kernel>;

export type KernelName = keyof typeof kernels;

interface Taps {
  readonly first: number;
  readonly weights: Float32Array;
}

/**
 * The input elements and weights of each output element. When scaling down, the kernel is widened, as in
 * torch's `F.interpolate(antialias=True)` and Pillow (aten/native/UpSample, `_compute_weights_aa`).
 */
function tapsOf(input: number, output: number, kernel: Kernel): Taps[] {
  const scale = input / output;
  const widening = Math.max(1, scale);
  const support = kernel.support * widening;
  return Array.from({ length: output }, (_, i) => {
    const center = scale * (i + 0.5);
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(input, Math.trunc(center + support + 0.5));
    const weights = new Float32Array(last - first);
    let sum = 0;
    for (let j = 0; j < weights.length; j++) {
      weights[j] = kernel.weight((j + first - center + 0.5) / widening);
      sum += weights[j]!;
    }
    for (let j = 0; j < weights.length; j++) weights[j]! /= sum;
    return { first, weights };
  });
}

/**
 * Resizes to `size` and passes on the rows of the result's `region`, top to bottom, as [region.width,
 * channels]. Only a few rows are in memory at a time, so documents can have any size. The array is reused
 * between rows.
 */
export function resizeRows(
  source: RowSource,
  size: Size,
  region: Bounds,
  kernel: KernelName,
  take: (y: number, row: Float32Array) => void,
): void {
  const { channels } = source;
  const across = tapsOf(source.width, size.width, kernels[kernel]).slice(
    region.left,
    region.left + region.width,
  );
  const down = tapsOf(source.height, size.height, kernels[kernel]);
  const sourceRow = new Float32Array(source.width * channels);
  const output = new Float32Array(region.width * channels);
  const held = new Map<number, Float32Array>();
  const spare: Float32Array[] = [];

  const resizedAcross = (y: number): Float32Array => {
    const known = held.get(y);
    if (known) return known;
    source.row(y, sourceRow);
    const row = spare.pop() ?? new Float32Array(output.length);
    for (let x = 0; x < across.length; x++) {
      const { first, weights } = across[x]!;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let j = 0; j < weights.length; j++) sum += weights[j]! * sourceRow[(first + j) * channels + c]!;
        row[x * channels + c] = sum;
      }
    }
    held.set(y, row);
    return row;
  };

  for (let y = 0; y < region.height; y++) {
    const { first, weights } = down[region.top + y]!;
    for (const [key, row] of held) {
      if (key < first) {
        held.delete(key);
        spare.push(row);
      }
    }
    output.fill(0);
    for (let j = 0; j < weights.length; j++) {
      const weight = weights[j]!;
      const row = resizedAcross(first + j);
      for (let i = 0; i < output.length; i++) output[i]! += weight * row[i]!;
    }
    take(y, output);
  }
}

/**
 * Resizes rows into a planar image of `size` with antialiasing, like torch's `F.interpolate(antialias=True)`.
 */
export function resizeToPlanar(source: RowSource, size: Size, kernel: KernelName = 'bilinear'): Planar {
  const image = planar(source.channels, size);
  const area = size.width * size.height;
  resizeRows(source, size, boundsOf(size), kernel, (y, row) => {
    for (let x = 0; x < size.width; x++) {
      for (let c = 0; c < source.channels; c++) {
        image.data[c * area + y * size.width + x] = row[x * source.channels + c]!;
      }
    }
  });
  return image;
}

/** The source element of an output element, like torch's `mode='nearest-exact'`. */
export function nearestExact(i: number, input: number, output: number): number {
  return Math.min(input - 1, Math.floor((i + 0.5) * (input / output)));
}
