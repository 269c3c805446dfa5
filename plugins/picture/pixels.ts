import type { Picture, Pixels } from '../panel/host.ts';

/** Narrows a layer to 8 bits: a host that sends 8 bits gets 8 bits back. */
export function withEightBits(pixels: Pixels): Picture {
  if (hasEightBits(pixels)) return pixels;
  throw new TypeError('this host takes no layer of 16 bits');
}

function hasEightBits(pixels: Pixels): pixels is Picture {
  return pixels.data instanceof Uint8Array;
}
