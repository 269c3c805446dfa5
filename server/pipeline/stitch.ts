import type { Bounds } from '../../shared/bounds.ts';
import { type Planar, rowsOfPlanar } from '../../shared/image.ts';
import { cutMask, featherInward, isHardEdged, type Mask } from '../../shared/mask.ts';
import { resizeRows } from '../../shared/resize.ts';

/**
 * The generated window at the document's resolution, cut to `bounds`, with the mask as straight alpha.
 * @param image [3, h, w] in [-1, 1], of the whole window at whatever size
 * @param alpha of `bounds`
 * @param deep 16 bits instead of 8
 * @returns [bounds.height, bounds.width, 4]
 */
export function stitchLayer(
  image: Planar,
  window: Bounds,
  bounds: Bounds,
  alpha: Mask,
  deep: boolean,
): Uint8Array | Uint16Array {
  const count = bounds.width * bounds.height * 4;
  const pixels = deep ? new Uint16Array(count) : new Uint8ClampedArray(count);
  const white = deep ? 65535 : 255;
  const region = { ...bounds, left: bounds.left - window.left, top: bounds.top - window.top };
  resizeRows(rowsOfPlanar(image), window, region, 'lanczos', (y, row) => {
    for (let x = 0; x < bounds.width; x++) {
      const i = y * bounds.width + x;
      for (let c = 0; c < 3; c++) {
        const value = Math.min(1, Math.max(0, (row[x * 3 + c]! + 1) / 2));
        pixels[i * 4 + c] = Math.round(value * white);
      }
      pixels[i * 4 + 3] = alpha.data[i]! * (white / 255);
    }
  });
  return deep ? (pixels as Uint16Array) : new Uint8Array(pixels.buffer);
}

/**
 * The layer's alpha: the person's mask, softened inwards where it ends abruptly, by about one and a half pixels of the model.
 * @param pixel size of a pixel of the model in the document
 */
export function layerAlpha(mask: Mask, bounds: Bounds, pixel: number): Mask {
  const painted = cutMask(mask, bounds);
  // One pixel around, so that only the picture's own edge counts as an edge without a feather.
  if (!isHardEdged(painted)) return painted;
  const around = {
    left: Math.max(0, bounds.left - 1),
    top: Math.max(0, bounds.top - 1),
    right: Math.min(mask.width, bounds.left + bounds.width + 1),
    bottom: Math.min(mask.height, bounds.top + bounds.height + 1),
  };
  const outer = {
    left: around.left,
    top: around.top,
    width: around.right - around.left,
    height: around.bottom - around.top,
  };
  const soft = featherInward(cutMask(mask, outer), Math.max(2, Math.round(1.5 * pixel)));
  return cutMask(soft, { ...bounds, left: bounds.left - outer.left, top: bounds.top - outer.top });
}
