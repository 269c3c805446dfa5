import type { Bounds } from '../../shared/events.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A mask that can be painted on: U8 `[height, width]`, 255 = regenerate. */
export interface PaintMask {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/**
 * Paints or erases a thick line with round ends and an edge of one pixel, antialiased.
 * Paint takes the larger value and erase the smaller, so that overlapping strokes never dig into each other.
 * @returns the pixels that may have changed, within the mask; undefined if the line lies outside
 */
export function strokeLine(
  mask: PaintMask,
  from: Point,
  to: Point,
  diameter: number,
  erase: boolean,
): Bounds | undefined {
  const radius = diameter / 2;
  const left = Math.max(0, Math.floor(Math.min(from.x, to.x) - radius - 1));
  const top = Math.max(0, Math.floor(Math.min(from.y, to.y) - radius - 1));
  const right = Math.min(mask.width, Math.ceil(Math.max(from.x, to.x) + radius + 1));
  const bottom = Math.min(mask.height, Math.ceil(Math.max(from.y, to.y) + radius + 1));
  if (left >= right || top >= bottom) return undefined;
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const lengthSquared = dx * dx + dy * dy;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const px = x + 0.5 - from.x;
      const py = y + 0.5 - from.y;
      const along = lengthSquared === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / lengthSquared));
      const distance = Math.hypot(px - along * dx, py - along * dy);
      const coverage = Math.min(1, Math.max(0, radius + 0.5 - distance));
      if (coverage === 0) continue;
      const i = y * mask.width + x;
      const value = Math.round(coverage * 255);
      const before = mask.data[i]!;
      mask.data[i] = erase ? Math.min(before, 255 - value) : Math.max(before, value);
    }
  }
  return { left, top, width: right - left, height: bottom - top };
}

/** The smallest rectangle around both. */
export function union(a: Bounds | undefined, b: Bounds | undefined): Bounds | undefined {
  if (!a || !b) return a ?? b;
  const left = Math.min(a.left, b.left);
  const top = Math.min(a.top, b.top);
  const right = Math.max(a.left + a.width, b.left + b.width);
  const bottom = Math.max(a.top + a.height, b.top + b.height);
  return { left, top, width: right - left, height: bottom - top };
}

/** The smallest rectangle with every pixel of the mask that is not 0; undefined for an empty mask. */
export function paintedBounds(mask: PaintMask): Bounds | undefined {
  let left = mask.width;
  let top = mask.height;
  let right = -1;
  let bottom = -1;
  for (let y = 0; y < mask.height; y++) {
    for (let x = 0; x < mask.width; x++) {
      if (mask.data[y * mask.width + x] === 0) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  return right < 0 ? undefined : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** The bytes of a rectangle of a mask, row by row. */
export function copyPatch(mask: PaintMask, bounds: Bounds): Uint8Array<ArrayBuffer> {
  const patch = new Uint8Array(bounds.width * bounds.height);
  for (let y = 0; y < bounds.height; y++) {
    const from = (bounds.top + y) * mask.width + bounds.left;
    patch.set(mask.data.subarray(from, from + bounds.width), y * bounds.width);
  }
  return patch;
}

/** The other side of `copyPatch`. */
export function putPatch(mask: PaintMask, bounds: Bounds, patch: Uint8Array): void {
  for (let y = 0; y < bounds.height; y++) {
    const row = patch.subarray(y * bounds.width, (y + 1) * bounds.width);
    mask.data.set(row, (bounds.top + y) * mask.width + bounds.left);
  }
}
