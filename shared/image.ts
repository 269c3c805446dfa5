import type { Bounds, Size } from './bounds.ts';

/** Pixels as documents keep them: [height, width, channels], sRGB, straight alpha where there are 4 channels. */
export interface Raster extends Size {
  readonly channels: 3 | 4;
  readonly data: Uint8Array | Uint16Array;
}

/** Pixels as networks take them: [channels, height, width]; the range is the caller's. */
export interface Planar extends Size {
  readonly channels: number;
  readonly data: Float32Array;
}

/** Rows that can be read one after the other, so that no picture needs a float copy of itself. */
export interface RowSource extends Size {
  readonly channels: number;
  /** Writes row `y` as [width, channels] into `into`. */
  row(y: number, into: Float32Array): void;
}

/** The largest value of a channel: 255 or 65535. */
export function whiteOf(raster: Pick<Raster, 'data'>): number {
  return raster.data instanceof Uint16Array ? 65535 : 255;
}

export function planar(channels: number, size: Size): Planar {
  const { width, height } = size;
  return { channels, width, height, data: new Float32Array(channels * width * height) };
}

/**
 * The part of a picture inside `part` as rows of RGB in [-1, 1]. Beyond the picture's edge the nearest pixel is
 * repeated; transparent pixels are seen as on white paper, the way hosts show them.
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

/** A copy of the columns `left`..`left + width` of a planar image. */
export function columnsOf(image: Planar, left: number, width: number): Planar {
  const part = planar(image.channels, { width, height: image.height });
  for (let row = 0; row < image.channels * image.height; row++) {
    const from = row * image.width + left;
    part.data.set(image.data.subarray(from, from + width), row * width);
  }
  return part;
}

/** Lays images of one height and one number of channels side by side. */
export function sideBySide(images: readonly Planar[]): Planar {
  const [first] = images;
  if (!first) throw new RangeError('sideBySide needs at least one image');
  const joined = planar(first.channels, {
    width: images.reduce((sum, image) => sum + image.width, 0),
    height: first.height,
  });
  let left = 0;
  for (const image of images) {
    for (let row = 0; row < image.channels * image.height; row++) {
      const from = row * image.width;
      joined.data.set(image.data.subarray(from, from + image.width), row * joined.width + left);
    }
    left += image.width;
  }
  return joined;
}
