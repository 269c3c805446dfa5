import type { Latent } from '../models/networks.ts';
import { randn } from '../sampling/noise.ts';

/** The size of the joined image in tokens. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** Channels of one packed token of a 16-channel latent: 16 x 2 x 2. */
export const packedChannels = 64;

/**
 * Packs 2x2 patches into tokens: `c (h 2) (w 2) -> (h w) (c 2 2)`, written to `into` from column `offset` on.
 * @param into [tokens, columns]
 */
export function packInto(into: Float32Array, columns: number, offset: number, latent: Latent): void {
  const { data, channels, width, height } = latent;
  let token = offset;
  for (let row = 0; row < height; row += 2) {
    for (let column = 0; column < width; column += 2, token += columns) {
      for (let c = 0; c < channels; c++) {
        const from = (c * height + row) * width + column;
        into[token + c * 4] = data[from]!;
        into[token + c * 4 + 1] = data[from + 1]!;
        into[token + c * 4 + 2] = data[from + width]!;
        into[token + c * 4 + 3] = data[from + width + 1]!;
      }
    }
  }
}

/**
 * Noise drawn in the unpacked order of the whole joined latent, as in diffusers, then packed: [tokens, 64].
 */
export function packedNoise(seed: number, { rows, columns }: Grid): Float32Array {
  const channels = packedChannels / 4;
  const [height, width] = [rows * 2, columns * 2];
  const data = randn(seed, channels * height * width);
  const packed = new Float32Array(data.length);
  packInto(packed, packedChannels, 0, { data, channels, width, height });
  return packed;
}

/** The inverse of packing, for the token columns from `left` on: `(h w) (c 2 2) -> c (h 2) (w 2)`. */
export function unpack(packed: Float32Array, grid: Grid, left = 0): Latent {
  const channels = packedChannels / 4;
  const width = (grid.columns - left) * 2;
  const height = grid.rows * 2;
  const data = new Float32Array(channels * width * height);
  for (let row = 0; row < grid.rows; row++) {
    for (let column = left; column < grid.columns; column++) {
      const token = (row * grid.columns + column) * packedChannels;
      for (let c = 0; c < channels; c++) {
        const to = (c * height + row * 2) * width + (column - left) * 2;
        data[to] = packed[token + c * 4]!;
        data[to + 1] = packed[token + c * 4 + 1]!;
        data[to + width] = packed[token + c * 4 + 2]!;
        data[to + width + 1] = packed[token + c * 4 + 3]!;
      }
    }
  }
  return { data, channels, width, height };
}

/** The full-resolution mask rearranged to latent resolution: `(h 8) (w 8) -> (8 8) h w`. */
export function unshuffleMask(mask: {
  readonly data: Float32Array;
  readonly width: number;
  readonly height: number;
}): Latent {
  const width = mask.width / 8;
  const height = mask.height / 8;
  const data = new Float32Array(mask.data.length);
  for (let y = 0; y < mask.height; y++) {
    for (let x = 0; x < mask.width; x++) {
      const channel = (y % 8) * 8 + (x % 8);
      data[(channel * height + (y >> 3)) * width + (x >> 3)] = mask.data[y * mask.width + x]!;
    }
  }
  return { data, channels: 64, width, height };
}
