import type { Bounds, Size } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { Picture } from '../../panel/host.ts';
import { context, newCanvas, toCanvas } from '../../picture/decode.ts';
import { onGrid, type PixelGrid } from '../grid.ts';
import { isTranslation, multiply, scaling, translation } from '../matrix.ts';
import type { Source, Tile } from '../protocol.ts';

/** Figma rejects images with a longer side. */
export const maxImageSide = 4096;
/**
 * How many pixels a tile extends under the next one. Rectangle edges are antialiased: if two only meet, what
 * is below shows through as a line along the seam at any zoom but 100%.
 */
const overlap = 64;

/** A layer in the form that Figma accepts. */
export interface Tiles {
  readonly tiles: readonly Tile[];
  readonly mask?: Tile;
}

/**
 * Encodes a picture as PNG files that Figma accepts.
 * @param at where its upper-left pixel lies in the source's picture, in pixels
 * @param cutTo makes the picture opaque, and turns its alpha, clipped to this source's outline, into a
 * separate mask
 */
export async function tilesOf(
  picture: Picture,
  at: { readonly left: number; readonly top: number },
  grid: PixelGrid,
  cutTo?: Source,
): Promise<Tiles> {
  const shown = cutTo ? opaque(picture) : picture;
  const source = toCanvas(shown);
  const boundsOf = (part: Bounds) =>
    onGrid(grid, { ...part, left: at.left + part.left, top: at.top + part.top });
  const tiles: Tile[] = [];
  // In an overlap, half-transparent pixels would visibly be drawn twice.
  for (const part of parts(picture, isOpaque(shown) ? overlap : 0)) {
    tiles.push({ picture: await encode(source, part), bounds: boundsOf(part) });
  }
  if (!cutTo) return { tiles };
  const whole = { left: 0, top: 0, width: picture.width, height: picture.height };
  // One mask for all tiles: it is soft, so a lower resolution than the largest pictures loses nothing.
  const scale = Math.min(1, maxImageSide / Math.max(picture.width, picture.height));
  const alpha = toCanvas(whiteWithAlpha(picture));
  cutToOutline(alpha, at, grid, cutTo);
  const mask = await encode(alpha, whole, scale);
  return { tiles, mask: { picture: mask, bounds: boundsOf(whole) } };
}

/** A mask may extend past rounded corners, or past the edges of a rotated layer; the result must not. */
function cutToOutline(
  canvas: HTMLCanvasElement,
  at: { readonly left: number; readonly top: number },
  grid: PixelGrid,
  { bounds, transform, width, height, radii = [0, 0, 0, 0] }: Source,
): void {
  const isUpright = isTranslation(transform);
  if (isUpright && radii.every((radius) => radius === 0)) return;
  const [[a, c, e], [b, d, f]] = [
    translation(-at.left, -at.top),
    scaling(1 / grid.x, 1 / grid.y),
    translation(-bounds.left - grid.left, -bounds.top - grid.top),
    transform,
  ].reduce(multiply);
  const drawing = context(canvas);
  drawing.globalCompositeOperation = 'destination-in';
  drawing.setTransform(a, b, c, d, e, f);
  drawing.beginPath();
  drawing.roundRect(0, 0, width, height, [...radii]);
  drawing.fill();
  drawing.resetTransform();
}

/** As few rectangles within the limit as possible. */
function parts({ width, height }: Size, shared: number): Bounds[] {
  const columns = spans(width, shared);
  const rows = spans(height, shared);
  return rows.flatMap((row) =>
    columns.map((column) => ({
      left: column.start,
      top: row.start,
      width: column.end - column.start,
      height: row.end - row.start,
    })),
  );
}

function spans(length: number, shared: number): { start: number; end: number }[] {
  const count = length <= maxImageSide ? 1 : Math.ceil(length / (maxImageSide - shared));
  return Array.from({ length: count }, (_, i) => ({
    start: Math.round((i * length) / count),
    end: i + 1 === count ? length : Math.round(((i + 1) * length) / count) + shared,
  }));
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

function isOpaque({ data }: Picture): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
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
