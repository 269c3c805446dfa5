import type { Bounds } from './bounds.ts';
import { boundsOf, intersect } from './bounds.ts';
import { type Raster, whiteOf } from './image.ts';

/**
 * Composites a layer with straight alpha over a picture of the same bit depth, 8 or 16. Where the layer's
 * alpha is 0, the document's bytes stay; where it is full, the pixel is exactly the layer's. Parts beyond the
 * document are cropped.
 * @param layer [h, w, 4]
 * @returns a new picture with the document's channels
 */
export function composite(picture: Raster, layer: Raster, at: Pick<Bounds, 'left' | 'top'>): Raster {
  if (layer.channels !== 4) throw new TypeError(`a layer has 4 channels, not ${layer.channels}`);
  const white = whiteOf(picture);
  if (whiteOf(layer) !== white) throw new TypeError('layer and document differ in their depth');
  // Not `slice`, which does not copy a Node Buffer.
  const data =
    picture.data instanceof Uint16Array ? new Uint16Array(picture.data) : new Uint8Array(picture.data);
  const result = { ...picture, data };
  const { channels } = picture;
  const shared = intersect(boundsOf(picture), {
    left: at.left,
    top: at.top,
    width: layer.width,
    height: layer.height,
  });
  for (let y = shared.top; y < shared.top + shared.height; y++) {
    for (let x = shared.left; x < shared.left + shared.width; x++) {
      const from = ((y - at.top) * layer.width + x - at.left) * 4;
      const to = (y * picture.width + x) * channels;
      const over = layer.data[from + 3]! / white;
      if (over === 0) continue;
      const under = (channels === 4 ? picture.data[to + 3]! / white : 1) * (1 - over);
      const alpha = over + under;
      for (let c = 0; c < 3; c++) {
        result.data[to + c] = Math.round(
          (layer.data[from + c]! * over + picture.data[to + c]! * under) / alpha,
        );
      }
      if (channels === 4) result.data[to + 3] = Math.round(alpha * white);
    }
  }
  return result;
}
