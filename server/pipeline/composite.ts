/** Turns what was generated into a layer of the document. */

import type { Bounds } from '../../shared/bounds.ts';
import { matchSurroundings } from '../../shared/colour.ts';
import { matchGrain } from '../../shared/grain.ts';
import type { Planar } from '../../shared/image.ts';
import { filledMask, layerAlpha, type Mask } from '../../shared/mask.ts';
import { resizeRows, rowsOfPlanar } from '../../shared/resize.ts';
import type { TargetUnit } from '../../shared/units.ts';
import type { PlanarImage } from '../models/networks.ts';
import type { EditInput } from './input.ts';
import type { FinishedLayer } from './layer.ts';
import type { ResolvedEdit } from './resolve.ts';

/**
 * The decoded target as the layer's pixels: colours and grain matched to the surroundings, at the document's
 * resolution, masked.
 */
export function compositeLayer(
  decoded: PlanarImage,
  target: TargetUnit,
  input: EditInput,
  edit: ResolvedEdit,
): FinishedLayer['pixels'] {
  const { window, output, layer, layout } = edit;
  const alpha = input.mask
    ? layerAlpha(input.mask, layer, window.width / layout.target.width, input.edit)
    : filledMask(layer);
  const generated = { ...decoded, channels: 3 };
  const matched = target.image ? matchBorder(generated, target.image, target.mask) : generated;
  const isDeep = input.edit?.data instanceof Uint16Array;
  return stitchLayer(matched, output, layer, alpha, isDeep);
}

/** Colours first: grain is measured on pictures whose colours agree. */
function matchBorder(generated: Planar, original: Planar, mask: Planar): Planar {
  return matchGrain(matchSurroundings(generated, original, mask), original, mask);
}

/**
 * The generated window at the document's resolution, cropped to `bounds`, with the mask as straight alpha.
 * @param image [3, h, w] in [-1, 1], the whole window at any size
 * @param alpha the size of `bounds`
 * @param isDeep 16 bits instead of 8
 * @returns [bounds.height, bounds.width, 4]
 */
function stitchLayer(
  image: Planar,
  window: Bounds,
  bounds: Bounds,
  alpha: Mask,
  isDeep: boolean,
): Uint8Array | Uint16Array {
  const count = bounds.width * bounds.height * 4;
  const pixels = isDeep ? new Uint16Array(count) : new Uint8ClampedArray(count);
  const white = isDeep ? 65535 : 255;
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
  return isDeep ? (pixels as Uint16Array) : new Uint8Array(pixels.buffer);
}
