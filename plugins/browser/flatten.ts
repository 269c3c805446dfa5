import type { Bounds } from '../../shared/bounds.ts';
import { composite } from '../../shared/composite.ts';
import type { Picture } from '../panel/host.ts';
import type { PlacedPicture } from '../picture/painter.ts';

/** Composites the layers, lowest first, over a rectangle of the base picture. */
export function flatten(base: Picture, layers: readonly PlacedPicture[], window: Bounds): Picture {
  let data = new Uint8Array(window.width * window.height * 4);
  for (let y = 0; y < window.height; y++) {
    const from = ((window.top + y) * base.width + window.left) * 4;
    data.set(base.data.subarray(from, from + window.width * 4), y * window.width * 4);
  }
  const { width, height } = window;
  for (const { picture, bounds } of layers) {
    const at = { left: bounds.left - window.left, top: bounds.top - window.top };
    const flat = composite({ width, height, channels: 4, data }, { ...picture, channels: 4 }, at);
    data = flat.data as Uint8Array<ArrayBuffer>;
  }
  return { width, height, data };
}
