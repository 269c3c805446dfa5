import { intersect } from '../../shared/bounds.ts';
import type { Bounds } from '../../shared/events.ts';
import type { Picture } from '../panel/host.ts';

export interface Placed {
  readonly picture: Picture;
  readonly bounds: Bounds;
}

/**
 * A rectangle of the base picture with the layers over it, from the lowest to the highest, alpha straight.
 * Bytes of the base under a layer's alpha 0 stay as they are.
 */
export function flatten(base: Picture, layers: readonly Placed[], window: Bounds): Picture {
  const data = new Uint8Array(window.width * window.height * 4);
  for (let y = 0; y < window.height; y++) {
    const from = ((window.top + y) * base.width + window.left) * 4;
    data.set(base.data.subarray(from, from + window.width * 4), y * window.width * 4);
  }
  const flat = { width: window.width, height: window.height, data };
  for (const layer of layers) compose(flat, layer, window);
  return flat;
}

function compose(flat: Picture, { picture, bounds }: Placed, window: Bounds): void {
  const shared = intersect(bounds, window);
  for (let y = shared.top; y < shared.top + shared.height; y++) {
    for (let x = shared.left; x < shared.left + shared.width; x++) {
      const from = ((y - bounds.top) * bounds.width + (x - bounds.left)) * 4;
      const to = ((y - window.top) * window.width + (x - window.left)) * 4;
      over(flat.data, to, picture.data, from);
    }
  }
}

/** Porter-Duff "over" of one RGBA pixel with straight alpha. */
function over(below: Uint8Array, to: number, above: Uint8Array, from: number): void {
  const alpha = above[from + 3]! / 255;
  if (alpha === 0) return;
  const rest = (below[to + 3]! / 255) * (1 - alpha);
  const total = alpha + rest;
  for (let channel = 0; channel < 3; channel++) {
    const mixed = (above[from + channel]! * alpha + below[to + channel]! * rest) / total;
    below[to + channel] = Math.round(mixed);
  }
  below[to + 3] = Math.round(total * 255);
}
