import type { Bounds, Size } from './bounds.ts';

/** Side of a token in pixels: the VAE's factor 8 times the 2x2 packing. */
export const tokenSide = 16;

/** The model was never trained beyond this aspect ratio (ACE_plus, inference/utils.py). */
export const maxAspect = 4;

/** Side in pixels of the square that fills a sequence, in whole tokens. */
export function nativeSide(maxSequence: number): number {
  return Math.max(1, Math.floor(Math.sqrt(maxSequence))) * tokenSide;
}

export interface WindowOptions {
  /** Context on every side, as a share of the mask's longer side. */
  readonly context: number;
  /**
   * Minimum size of the window, if the picture allows: a smaller one would show the model less than it can
   * see.
   */
  readonly least: number;
}

/**
 * The part of the picture that the model works on: the mask with context around it, at least `least` pixels a
 * side, in whole tokens if the picture allows, and no wider or taller than 4:1. It always covers the mask. It
 * is inside the picture, unless the picture itself is thinner than 4:1: then it extends beyond the long
 * edges.
 */
export function cropWindow(mask: Bounds, picture: Size, { context, least }: WindowOptions): Bounds {
  const margin = 2 * Math.round(context * Math.max(mask.width, mask.height));
  let width = Math.max(mask.width + margin, least);
  let height = Math.max(mask.height + margin, least);
  width = Math.max(width, Math.ceil(height / maxAspect));
  height = Math.max(height, Math.ceil(width / maxAspect));
  width = Math.min(picture.width, wholeTokens(width));
  height = Math.min(picture.height, wholeTokens(height));
  width = Math.max(width, Math.ceil(height / maxAspect));
  height = Math.max(height, Math.ceil(width / maxAspect));
  return {
    left: place(mask.left + mask.width / 2, width, picture.width),
    top: place(mask.top + mask.height / 2, height, picture.height),
    width,
    height,
  };
}

function wholeTokens(length: number): number {
  return Math.ceil(length / tokenSide) * tokenSide;
}

/**
 * Where a stretch around `center` starts so that it stays within 0..available; a longer one is centred on
 * that range.
 */
function place(center: number, length: number, available: number): number {
  if (length > available) return -Math.floor((length - available) / 2);
  return Math.min(available - length, Math.max(0, Math.round(center - length / 2)));
}
