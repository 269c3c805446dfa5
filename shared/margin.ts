import type { Bounds } from './bounds.ts';
import type { Raster } from './image.ts';

/** The share of pixels inside the margin that may be transparent: rounding and antialiasing at its edges. */
const mostClear = 0.01;

/**
 * Whether a picture has a transparent margin, as after enlarging the canvas: its opaque part is a rectangle,
 * smaller than the whole. A cut-out on a transparent ground has no margin.
 */
export function hasMargin(picture: Raster): boolean {
  const inner = visibleBounds(picture);
  if (!inner || (inner.width === picture.width && inner.height === picture.height)) return false;
  const opaque = picture.data instanceof Uint16Array ? 0xff00 : 0xff;
  let clear = 0;
  for (let y = inner.top; y < inner.top + inner.height; y++) {
    for (let x = inner.left; x < inner.left + inner.width; x++) {
      if (picture.data[(y * picture.width + x) * 4 + 3]! < opaque) clear++;
    }
  }
  return clear <= mostClear * inner.width * inner.height;
}

/** Bounds of what is not fully transparent; undefined if everything is, or nothing can be. */
function visibleBounds({ width, height, channels, data }: Raster): Bounds | undefined {
  if (channels !== 4) return undefined;
  const isClear = (x: number, y: number) => data[(y * width + x) * 4 + 3] === 0;
  const isRowClear = (y: number) => {
    for (let x = 0; x < width; x++) if (!isClear(x, y)) return false;
    return true;
  };
  let top = 0;
  while (top < height && isRowClear(top)) top++;
  if (top === height) return undefined;
  let bottom = height - 1;
  while (isRowClear(bottom)) bottom--;
  const isColumnClear = (x: number) => {
    for (let y = top; y <= bottom; y++) if (!isClear(x, y)) return false;
    return true;
  };
  let left = 0;
  while (isColumnClear(left)) left++;
  let right = width - 1;
  while (isColumnClear(right)) right--;
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}
