/** What was generated, as a layer of the document. */
import { matchSurroundings } from '../../shared/colour.ts';
import type { Bounds } from '../../shared/events.ts';
import { type Planar, type Raster, rowsOfPlanar } from '../../shared/image.ts';
import { cutMask, featherInward, filledMask, isHardEdged, type Mask } from '../../shared/mask.ts';
import { resizeRows } from '../../shared/resize.ts';
import type { TargetUnit } from '../../shared/units.ts';
import type { PlanarImage } from '../models/networks.ts';
import type { EditInput } from './input.ts';
import type { FinishedLayer } from './layer.ts';
import type { ResolvedEdit } from './resolve.ts';

/** The decoded target as the layer's pixels: colours matched to the surroundings, at the document's resolution, masked. */
export function compositeLayer(
  decoded: PlanarImage,
  target: TargetUnit,
  input: EditInput,
  edit: ResolvedEdit,
): FinishedLayer['pixels'] {
  const generated = { ...decoded, channels: 3 };
  const matched = target.image ? matchSurroundings(generated, target.image, target.mask) : generated;
  const isDeep = input.edit?.data instanceof Uint16Array;
  return stitchLayer(matched, edit.output, edit.layer, alphaOf(input, edit), isDeep);
}

/**
 * The generated window at the document's resolution, cut to `bounds`, with the mask as straight alpha.
 * @param image [3, h, w] in [-1, 1], of the whole window at whatever size
 * @param alpha of `bounds`
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

/** The layer's straight alpha, of the size of `layer`. */
function alphaOf(input: EditInput, { window, layer, layout }: ResolvedEdit): Mask {
  if (!input.mask) return filledMask(layer);
  const alpha = softenedMask(input.mask, layer, window.width / layout.target.width);
  if (input.edit?.channels === 4) coverGround(alpha, cutMask(input.mask, layer), input.edit, layer);
  return alpha;
}

/** Where the document shows nothing, a softened edge has nothing to go over to: as far as that, the layer covers it as painted. */
function coverGround(alpha: Mask, painted: Mask, edit: Raster, { left, top }: Bounds): void {
  const white = edit.data instanceof Uint16Array ? 65535 : 255;
  for (let y = 0; y < alpha.height; y++) {
    for (let x = 0; x < alpha.width; x++) {
      const i = y * alpha.width + x;
      const there = edit.data[((y + top) * edit.width + x + left) * 4 + 3]! / white;
      alpha.data[i] = Math.max(alpha.data[i]!, Math.min(painted.data[i]!, Math.round(255 * (1 - there))));
    }
  }
}

/**
 * The layer's alpha: the person's mask, softened inwards where it ends abruptly, by about one and a half pixels of the model.
 * @param pixel size of a pixel of the model in the document
 */
function softenedMask(mask: Mask, bounds: Bounds, pixel: number): Mask {
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
