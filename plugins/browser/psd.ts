import { writePsdUint8Array } from 'ag-psd';
import type { Picture } from '../panel/host.ts';
import type { Layer } from './document.ts';

/**
 * A layered PSD: the picture below, each kept result above it with its feather as a layer mask.
 * @param flat what all of it looks like, for programs that do not read layers
 */
export function layeredPSD(
  picture: Picture,
  layers: readonly Layer[],
  flat: Picture,
): Uint8Array<ArrayBuffer> {
  const bytes = writePsdUint8Array({
    width: picture.width,
    height: picture.height,
    imageData: toImageData(flat),
    children: [
      { name: 'Picture', left: 0, top: 0, imageData: toImageData(picture) },
      ...layers.map((layer) => maskedLayer(layer)),
    ],
  });
  return bytes as Uint8Array<ArrayBuffer>;
}

function maskedLayer({ name, bounds, picture, visible }: Layer) {
  const { left, top, width, height } = bounds;
  const colour = new Uint8ClampedArray(picture.data);
  const mask = new Uint8ClampedArray(picture.data.length);
  for (let i = 0; i < colour.length; i += 4) {
    // The alpha moves from the pixels into the mask, where it can be painted on.
    const alpha = colour[i + 3]!;
    mask.fill(alpha, i, i + 3);
    mask[i + 3] = 255;
    colour[i + 3] = 255;
  }
  return {
    name,
    left,
    top,
    hidden: !visible,
    imageData: { width, height, data: colour },
    mask: {
      left,
      top,
      right: left + width,
      bottom: top + height,
      defaultColor: 0,
      imageData: { width, height, data: mask },
    },
  };
}

function toImageData({ width, height, data }: Picture) {
  return { width, height, data: new Uint8ClampedArray(data.buffer, data.byteOffset, data.length) };
}
