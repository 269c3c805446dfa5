import type { Bounds } from '../../shared/bounds.ts';
import type { Point } from './camera.ts';
import type { PaintMask } from './mask-edit.ts';

/**
 * Paints or erases a thick, round-capped line with a one-pixel antialiased edge.
 * Painting takes the larger value and erasing the smaller, so overlapping strokes never eat into each other.
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
