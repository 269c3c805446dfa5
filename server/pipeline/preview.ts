import sharp from 'sharp';
import type { Planar } from '../../shared/image.ts';

const longestSide = 512;

/** A small JPEG of a picture, base64. @param image [3, h, w] in [-1, 1] */
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

/** Says after which steps a preview is due: so often that they take a fifth of the time, however much one costs. */
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
