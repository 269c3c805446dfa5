import type { Bounds, Size } from '../../shared/bounds.ts';

/** How the pixels of a picture lie over the bounds of its node. */
export interface PixelGrid {
  /** The upper left corner of the picture, in page units from that of the bounds. */
  readonly left: number;
  readonly top: number;
  /** Page units per pixel. */
  readonly x: number;
  readonly y: number;
}

/** For sums that should have come out as a whole number. */
const rounding = 1e-6;

/** The pixels of an image that a part of it touches. */
export function wholePixels(shown: Bounds, { width, height }: Size): Bounds {
  const left = Math.max(0, Math.floor(shown.left + rounding));
  const top = Math.max(0, Math.floor(shown.top + rounding));
  const right = Math.min(width, Math.ceil(shown.left + shown.width - rounding));
  const bottom = Math.min(height, Math.ceil(shown.top + shown.height - rounding));
  return { left, top, width: right - left, height: bottom - top };
}

/**
 * @param shown of an image, what fills `bounds`: in its pixels and fractions of them
 * @param pixels the picture, which is a part of the same image
 */
export function gridOf(shown: Bounds, pixels: Bounds, bounds: Size): PixelGrid {
  const x = bounds.width / shown.width;
  const y = bounds.height / shown.height;
  return { left: (pixels.left - shown.left) * x, top: (pixels.top - shown.top) * y, x, y };
}

/** Where pixels of the picture lie, in page units from the upper left corner of the node's bounds. */
export function onGrid({ left, top, x, y }: PixelGrid, pixels: Bounds): Bounds {
  return {
    left: left + pixels.left * x,
    top: top + pixels.top * y,
    width: pixels.width * x,
    height: pixels.height * y,
  };
}
