import type { Bounds } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import { context, newCanvas, toCanvas } from '../../panel/canvas/decode.ts';
import type { Picture } from '../../panel/host.ts';
import type { Tile } from '../protocol.ts';

/** Figma takes no image with a longer side. */
export const maxImageSide = 4096;

/** How pixels of the source's export lie over its bounds: page units per pixel. */
export interface PixelSize {
  readonly x: number;
  readonly y: number;
}

/**
 * A picture as PNG files that Figma takes, side by side without a gap.
 * @param at where its upper left pixel lies in the source's export, in pixels
 * @param cutOut true: the picture becomes opaque, and its alpha a mask of its own
 */
export async function tilesOf(
  picture: Picture,
  at: { readonly left: number; readonly top: number },
  pixel: PixelSize,
  cutOut: boolean,
): Promise<readonly Tile[]> {
  const source = toCanvas(cutOut ? opaque(picture) : picture);
  const alpha = cutOut ? toCanvas(whiteWithAlpha(picture)) : undefined;
  const tiles: Tile[] = [];
  for (const part of parts(picture)) {
    const mask = alpha && { mask: await encode(alpha, part) };
    tiles.push({
      picture: await encode(source, part),
      ...mask,
      bounds: {
        left: (at.left + part.left) * pixel.x,
        top: (at.top + part.top) * pixel.y,
        width: part.width * pixel.x,
        height: part.height * pixel.y,
      },
    });
  }
  return tiles;
}

/** One PNG of the whole picture, with fewer pixels where Figma would refuse it. */
export async function onePNG(picture: Picture): Promise<Uint8Array> {
  const scale = Math.min(1, maxImageSide / Math.max(picture.width, picture.height));
  const whole = { left: 0, top: 0, width: picture.width, height: picture.height };
  return encode(toCanvas(picture), whole, scale);
}

/** Rectangles of equal size, as few as fit the limit. */
function parts({ width, height }: Picture): Bounds[] {
  const columns = edges(width);
  const rows = edges(height);
  const found: Bounds[] = [];
  for (let row = 0; row + 1 < rows.length; row++) {
    for (let column = 0; column + 1 < columns.length; column++) {
      const [left, top] = [columns[column]!, rows[row]!];
      found.push({ left, top, width: columns[column + 1]! - left, height: rows[row + 1]! - top });
    }
  }
  return found;
}

function edges(length: number): number[] {
  const count = Math.ceil(length / maxImageSide);
  return Array.from({ length: count + 1 }, (_, i) => Math.round((i * length) / count));
}

async function encode(canvas: HTMLCanvasElement, part: Bounds, scale = 1): Promise<Uint8Array> {
  const isWhole = part.width === canvas.width && part.height === canvas.height && scale === 1;
  let cut = canvas;
  if (!isWhole) {
    cut = newCanvas(Math.round(part.width * scale), Math.round(part.height * scale));
    const drawing = context(cut);
    drawing.imageSmoothingQuality = 'high';
    drawing.drawImage(canvas, part.left, part.top, part.width, part.height, 0, 0, cut.width, cut.height);
  }
  const blob = await new Promise<Blob | null>((resolve) => cut.toBlob(resolve, 'image/png'));
  if (!blob) {
    throw new CodedError('out-of-memory', {
      detail: `The result of ${cut.width}x${cut.height} pixels could not be written as PNG.`,
      remedy: 'Close other files and try again; the result is kept.',
    });
  }
  return new Uint8Array(await blob.arrayBuffer());
}

function opaque({ width, height, data }: Picture): Picture {
  const copy = data.slice();
  for (let i = 3; i < copy.length; i += 4) copy[i] = 255;
  return { width, height, data: copy };
}

function whiteWithAlpha({ width, height, data }: Picture): Picture {
  const copy = new Uint8Array(data.length).fill(255);
  for (let i = 3; i < copy.length; i += 4) copy[i] = data[i]!;
  return { width, height, data: copy };
}
