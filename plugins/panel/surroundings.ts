import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf, intersect, type Size } from '../../shared/bounds.ts';
import { tokenSide } from '../../shared/crop-window.ts';

/** Around the mask, the least number of pixels that the companion gets to see, so that its own window always fits. */
const leastContext = 1024;

/**
 * The mask with its longer side around it, and `leastContext` at the least, within the picture. The companion's own
 * window has half of that on every side (shared/crop-window.ts); at an edge it moves inwards, and then needs all of it.
 */
export function surroundings(painted: Bounds, picture: Size): Bounds {
  const context = Math.max(leastContext, Math.max(painted.width, painted.height) + tokenSide);
  const around = {
    left: painted.left - context,
    top: painted.top - context,
    width: painted.width + 2 * context,
    height: painted.height + 2 * context,
  };
  return intersect(around, boundsOf(picture));
}
