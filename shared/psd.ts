import { writePsdUint8Array } from 'ag-psd';
import type { Bounds, Size } from './bounds.ts';

/** [height, width, 4], 8 bits, straight alpha. */
export interface Pixels extends Size {
  readonly data: Uint8Array;
}

export interface PSDLayer {
  readonly name: string;
  /** Where it lies in the picture; it may reach beyond its edges, or start before them. */
  readonly bounds: Bounds;
  readonly picture: Pixels;
  readonly visible: boolean;
}

/**
 * A layered PSD: the picture below, each layer above it with its alpha as a layer mask, which can be painted on.
 * The canvas is the picture's; what a layer has beyond it is kept there, hidden as hosts hide it.
 * @param layers from the lowest to the highest
 * @param flat what all of it looks like, of the picture's size, for programs that do not read layers
 */
export function layeredPSD(
  picture: Pixels,
  layers: readonly PSDLayer[],
  flat: Pixels,
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

function maskedLayer({ name, bounds, picture, visible }: PSDLayer) {
  const { left, top, width, height } = bounds;
  const colour = new Uint8ClampedArray(picture.data);
  const mask = new Uint8ClampedArray(picture.data.length);
  for (let i = 0; i < colour.length; i += 4) {
    // The alpha moves from the pixels into the mask: where it is 0, the generated colour is still there below it.
    mask.fill(colour[i + 3]!, i, i + 3);
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

function toImageData({ width, height, data }: Pixels) {
  if (data.length !== width * height * 4) {
    throw new TypeError(
      `${width}x${height} pixels of RGBA take ${width * height * 4} bytes, not ${data.length}`,
    );
  }
  return { width, height, data: new Uint8ClampedArray(data.buffer, data.byteOffset, data.length) };
}
