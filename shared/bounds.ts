import * as v from 'valibot';
import type { Immutable } from './immutable.ts';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A rectangle in pixels of the edit image, or in units of a Figma page. `left` and `top` may be negative. */
export const boundsSchema = v.object({
  left: v.number(),
  top: v.number(),
  width: v.number(),
  height: v.number(),
});
export type Bounds = Immutable<v.InferOutput<typeof boundsSchema>>;

/** The bounds of a whole picture. */
export function boundsOf(size: Size): Bounds {
  return { left: 0, top: 0, width: size.width, height: size.height };
}

/** The intersection of two rectangles; width or height is 0 if they do not overlap. */
export function intersect(a: Bounds, b: Bounds): Bounds {
  const left = Math.max(a.left, b.left);
  const top = Math.max(a.top, b.top);
  const width = Math.max(0, Math.min(a.left + a.width, b.left + b.width) - left);
  const height = Math.max(0, Math.min(a.top + a.height, b.top + b.height) - top);
  return { left, top, width, height };
}

export function contains(outer: Bounds, inner: Bounds): boolean {
  return (
    inner.left >= outer.left &&
    inner.top >= outer.top &&
    inner.left + inner.width <= outer.left + outer.width &&
    inner.top + inner.height <= outer.top + outer.height
  );
}

/** The same rectangle, moved. */
export function moved(bounds: Bounds, by: { readonly left: number; readonly top: number }): Bounds {
  return { ...bounds, left: bounds.left + by.left, top: bounds.top + by.top };
}
