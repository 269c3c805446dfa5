/**
 * The model's condition (arXiv 2501.02487, equation 5): pictures and mask at the model's size, joined,
 * encoded and packed.
 */
import type { Bounds, Size } from '../../shared/bounds.ts';
import { type Planar, planar } from '../../shared/image.ts';
import { binarise, cutMask, dilate, type Mask } from '../../shared/mask.ts';
import { nearestExact, resizeToPlanar, rowsOf } from '../../shared/resize.ts';
import { joinUnits, type TargetUnit } from '../../shared/units.ts';
import { inChannels, type Latent, type Networks } from '../models/networks.ts';
import type { EditInput } from './input.ts';
import { type Grid, packedChannels, packInto, unshuffleMask } from './packing.ts';
import type { ResolvedEdit } from './resolve.ts';

export interface Condition extends Grid {
  /** Packed, [tokens, inChannels]; the first 64 columns are for the noise. */
  readonly input: Float32Array;
  readonly inChannels: number;
}

/** The pictures of an edit and its mask, at the model's sizes. */
export interface EditUnits {
  readonly target: TargetUnit;
  /** [3, h, w] in [-1, 1] */
  readonly references: readonly Planar[];
}

export function readUnits(input: EditInput, { window, layout, task, greyWeights }: ResolvedEdit): EditUnits {
  const references = input.references.map((reference, i) => {
    const { crop, drawn } = layout.references[i]!;
    return resizeToPlanar(rowsOf(reference, crop), drawn);
  });
  const size = layout.target;
  const mask = workMask(input.mask, window, size);
  if (!input.edit) return { target: { mask }, references };
  // Downscaled with antialiasing, not nearest neighbour as in the authors' code: what is kept around the mask
  // has to look like the document once it is scaled back.
  const image = resizeToPlanar(rowsOf(input.edit, window), size);
  if (task === 'recolor') greyInside(image, mask, greyWeights);
  return { target: { image, mask }, references };
}

/** [1, h, w]: 1 wherever the layer will show anything. */
function workMask(mask: Mask | undefined, window: Bounds, size: Size): Planar {
  const work = planar(1, size);
  if (!mask) {
    work.data.fill(1);
    return work;
  }
  // Dilated by half a pixel of the model, so that no painted pixel falls between two samples.
  const half = Math.ceil((Math.max(window.width / size.width, window.height / size.height) - 1) / 2);
  const painted = dilate(binarise(cutMask(mask, window), 1), half);
  for (let y = 0; y < size.height; y++) {
    const row = nearestExact(y, window.height, size.height) * window.width;
    for (let x = 0; x < size.width; x++) {
      const value = painted.data[row + nearestExact(x, window.width, size.width)]!;
      work.data[y * size.width + x] = value / 255;
    }
  }
  return work;
}

/** For recolouring, the model sees grey inside the mask; the user doesn't have to make it grey. */
function greyInside(
  { data, width, height }: Planar,
  mask: Planar,
  [red, green, blue]: ResolvedEdit['greyWeights'],
): void {
  const area = width * height;
  for (let i = 0; i < area; i++) {
    if (mask.data[i] === 0) continue;
    const grey = red * data[i]! + green * data[area + i]! + blue * data[2 * area + i]!;
    for (let c = 0; c < 3; c++) data[c * area + i] = grey;
  }
}

/**
 * Everything except the noise: latents of the visible pictures, the change image (FFT) and the
 * full-resolution mask.
 */
export async function encodeCondition(
  networks: Networks,
  { target, references }: EditUnits,
  { layout, repaintingScale, padding }: ResolvedEdit,
): Promise<Condition> {
  const channels = networks.spec.inChannels;
  const withChange = channels === inChannels.fft;
  const units = joinUnits(target, references, layout, { repaintingScale, padding, withChange });
  const rows = units.mask.height / 16;
  const columns = units.mask.width / 16;
  const packed = new Float32Array(rows * columns * channels);
  let offset = packedChannels;
  const append = (latent: Latent) => {
    packInto(packed, channels, offset, latent);
    offset += latent.channels * 4;
  };
  append(await networks.vaeEncode(units.edit));
  if (units.change) append(await networks.vaeEncode(units.change));
  append(unshuffleMask(units.mask));
  return { input: packed, inChannels: channels, rows, columns };
}
