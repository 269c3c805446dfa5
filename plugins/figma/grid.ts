import type { Bounds, Size } from '../../shared/bounds.ts';

/** How a picture's pixels map to its node's bounds. */
export interface PixelGrid {
  /** The picture's upper-left corner, in page units from that of the bounds. */
  readonly left: number;
  readonly top: number;
  /** Page units per pixel. */
  readonly x: number;
  readonly y: number;
}

/** Tolerance for sums that should be whole numbers. */
const rounding = 1e-6;

/** The whole pixels of an image that a fractional region touches. */
export function wholePixels(shown: Bounds, { width, height }: Size): Bounds {
  const left = Math.max(0, Math.floor(shown.left + rounding));
  const top = Math.max(0, Math.floor(shown.top + rounding));
  const right = Math.min(width, Math.ceil(shown.left + shown.width - rounding));
  const bottom = Math.min(height, Math.ceil(shown.top + shown.height - rounding));
  return { left, top, width: right - left, height: bottom - top };
}

/**
 * @param shown the part of an image that fills `bounds`, in fractional pixels of that image
 * @param pixels the picture, a part of the same image
 */
export function gridOf(shown: Bounds, pixels: Bounds, bounds: Size): PixelGrid {
  const x = bounds.width / shown.width;
  const y = bounds.height / shown.height;
  return { left: (pixels.left - shown.left) * x, top: (pixels.top - shown.top) * y, x, y };
}

/** Where the picture's pixels lie, in page units from the upper-left corner of the node's bounds. */
export function onGrid({ left, top, x, y }: PixelGrid, pixels: Bounds): Bounds {
  return {
    left: left + pixels.left * x,
    top: top + pixels.top * y,
    width: pixels.width * x,
    height: pixels.height * y,
  };
}
