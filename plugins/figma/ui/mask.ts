import type { Bounds, Size } from '../../../shared/bounds.ts';
import { context, newCanvas } from '../../picture/decode.ts';
import type { PixelGrid } from '../grid.ts';
import type { ExportedNode } from '../protocol.ts';

/**
 * Draws the exported nodes' alpha where they lie over the source.
 * @param bounds the source's bounds, in page units
 * @param size the size of the source's picture, in pixels
 * @param grid how those pixels map to the bounds
 * @returns U8 `[height, width]`, 255 = regenerate. A uniformly half-transparent shape still counts in full.
 */
export async function rasterMask(
  masks: readonly ExportedNode[],
  bounds: Bounds,
  size: Size,
  grid: PixelGrid,
): Promise<Uint8Array<ArrayBuffer>> {
  const drawing = context(newCanvas(size.width, size.height));
  drawing.imageSmoothingQuality = 'high';
  drawing.scale(1 / grid.x, 1 / grid.y);
  drawing.translate(-bounds.left - grid.left, -bounds.top - grid.top);
  for (const { png, bounds: at } of masks) {
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(png)], { type: 'image/png' }));
    drawing.drawImage(bitmap, at.left, at.top, at.width, at.height);
    bitmap.close();
  }
  const { data } = drawing.getImageData(0, 0, size.width, size.height);
  const mask = new Uint8Array(size.width * size.height);
  let strongest = 0;
  for (let i = 0; i < mask.length; i++) strongest = Math.max(strongest, data[i * 4 + 3]!);
  for (let i = 0; i < mask.length; i++) mask[i] = Math.round((data[i * 4 + 3]! / (strongest || 1)) * 255);
  return mask;
}
