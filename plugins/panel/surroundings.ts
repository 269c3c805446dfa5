import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf, intersect, type Size } from '../../shared/bounds.ts';
import { tokenSide } from '../../shared/crop-window.ts';

/** The minimum context around the mask in pixels, so that the companion's own crop window always fits. */
const leastContext = 1024;

/**
 * The mask with a margin of its longer side, or at least `leastContext`, clipped to the picture. The
 * companion's own crop window takes half of that on every side (shared/crop-window.ts); at an edge it moves
 * inwards and needs all of it.
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
