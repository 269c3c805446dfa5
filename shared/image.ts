import type { Bounds, Size } from './bounds.ts';

/** Pixels as in documents: [height, width, channels], sRGB, straight alpha if there are 4 channels. */
export interface Raster extends Size {
  readonly channels: 3 | 4;
  readonly data: Uint8Array | Uint16Array;
}

/** Pixels as networks expect them: [channels, height, width]; the range is up to the caller. */
export interface Planar extends Size {
  readonly channels: number;
  readonly data: Float32Array;
}

/** The largest value of a channel: 255 or 65535. */
export function whiteOf(raster: Pick<Raster, 'data'>): number {
  return raster.data instanceof Uint16Array ? 65535 : 255;
}

export function planar(channels: number, size: Size): Planar {
  const { width, height } = size;
  return { channels, width, height, data: new Float32Array(channels * width * height) };
}

/** Copies the part of a planar image inside `bounds`, which must be inside the image. */
export function cutPlanar(image: Planar, { left, top, width, height }: Bounds): Planar {
  const part = planar(image.channels, { width, height });
  for (let c = 0; c < image.channels; c++) {
    for (let y = 0; y < height; y++) {
      const from = (c * image.height + top + y) * image.width + left;
      part.data.set(image.data.subarray(from, from + width), (c * height + y) * width);
    }
  }
  return part;
}

/** Joins images side by side; they must have the same height and channels. */
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
