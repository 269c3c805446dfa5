import sharp from 'sharp';
import type { Bounds } from '../../shared/bounds.ts';
import { moved, type Size } from '../../shared/bounds.ts';
import { cutPlanar, type Planar } from '../../shared/image.ts';
import type { TargetUnit } from '../../shared/units.ts';
import type { PlanarImage } from '../models/networks.ts';
import type { EditPlacement } from './resolve.ts';

const longestSide = 512;

/**
 * The layer as it currently looks.
 * @param decoded the target, [3, h, w] in [-1, 1]
 */
export function layerPreview(
  decoded: PlanarImage,
  target: TargetUnit,
  placement: EditPlacement,
): Promise<string> {
  const shown = overKnown(decoded, target);
  return previewJPEG(cutPlanar(shown, layerPart(shown, placement)));
}

/** A picture as a small JPEG, base64. @param image [3, h, w] in [-1, 1] */
export async function previewJPEG({ data, width, height }: Planar): Promise<string> {
  const area = width * height;
  const pixels = new Uint8ClampedArray(area * 3);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) pixels[i * 3 + c] = (data[c * area + i]! + 1) * 127.5;
  }
  const jpeg = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .resize({ width: longestSide, height: longestSide, fit: 'inside', withoutEnlargement: true })
    .jpeg({ quality: 75 })
    .toBuffer();
  return jpeg.toString('base64');
}

/**
 * Decides after which steps a preview is due, so that previews take a fifth of the time, however expensive
 * one is.
 */
export class PreviewThrottle {
  #cost = 0;
  #last = Number.NEGATIVE_INFINITY;

  isDue(now: number): boolean {
    return now - this.#last >= 4 * this.#cost;
  }

  made(start: number, end: number): void {
    this.#cost = end - start;
    this.#last = end;
  }
}

/** The generated pixels inside the mask, the known ones outside. */
function overKnown(generated: PlanarImage, { image, mask }: TargetUnit): Planar {
  const data = generated.data.slice();
  if (image) {
    for (let i = 0; i < data.length; i++) {
      if (mask.data[i % mask.data.length] === 0) data[i] = image.data[i]!;
    }
  }
  return { ...generated, channels: 3, data };
}

/** The part of a target-sized image that the layer covers, at least one pixel. */
function layerPart({ width, height }: Size, { output, layer }: EditPlacement): Bounds {
  const scaleX = width / output.width;
  const scaleY = height / output.height;
  const place = moved(layer, { left: -output.left, top: -output.top });
  const left = Math.min(width - 1, Math.max(0, Math.floor(place.left * scaleX)));
  const top = Math.min(height - 1, Math.max(0, Math.floor(place.top * scaleY)));
  return {
    left,
    top,
    width: Math.max(1, Math.min(width - left, Math.round(place.width * scaleX))),
    height: Math.max(1, Math.min(height - top, Math.round(place.height * scaleY))),
  };
}
