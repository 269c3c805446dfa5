import type { Picture, Pixels } from '../panel/host.ts';

/** A layer for a host that sends 8 bits, and so gets as many. */
export function withEightBits(pixels: Pixels): Picture {
  if (hasEightBits(pixels)) return pixels;
  throw new TypeError('this host takes no layer of 16 bits');
}

function hasEightBits(pixels: Pixels): pixels is Picture {
  return pixels.data instanceof Uint8Array;
}
